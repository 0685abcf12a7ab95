//! What all plots share: the picture with its title, the frame with its axes, the legend.
//!
//! ```text
//! title
//! what stands on the y axis
//!  2 M/s ┬──────────────────────
//!  1 M/s ┼──────────────────────
//!      0 ┴────┬────┬────┬────┬── what stands on the x axis
//!             5   10   15   20
//! ■ bitcask  ■ lsm
//! ```
//!
//! Letters are larger where the page is narrow, so what is laid out here leaves room for those.

use crate::bench::page::scale::Scale;
use crate::bench::page::units::{printable, shortened};
use maud::{Markup, html};

/// Width of every plot, in its own units.
pub(super) const WIDTH: f64 = 480.0;
/// Where the field of marks begins and ends.
pub(super) const LEFT: f64 = 66.0;
pub(super) const RIGHT: f64 = WIDTH - 16.0;
pub(super) const TOP: f64 = 60.0;
const BOTTOM: f64 = TOP + 176.0;
/// Where the legend begins.
const LEGEND: f64 = BOTTOM + 50.0;
/// Height of one of its lines.
const LINE: f64 = 22.0;
/// Width of a letter, at most, taking all together.
const LETTER: f64 = 8.0;

/// The colours, and how marks and letters look: for the page, and for pictures that stand alone.
pub(super) const STYLE: &str = include_str!("plot.css");

/// A plot that has been drawn.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    /// What it shows.
    pub(super) title: String,
    /// Height, in its own units.
    pub(super) height: f64,
    /// The marks and letters below the title.
    pub(super) body: Markup,
}

impl Picture {
    /// As a part of the page.
    pub(super) fn inline(&self) -> Markup {
        let size = format!("0 0 {WIDTH} {}", self.height);
        html! { svg class="plot" viewBox=(size) role="img" { (self.inside()) } }
    }

    /// As a file of its own, with a description.
    pub(super) fn file(&self, about: &str) -> String {
        let size = format!("0 0 {WIDTH} {}", self.height);
        let svg = html! {
            svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox=(size)
                width=(WIDTH * 1.5) height=(self.height * 1.5) role="img" {
                (self.inside())
                desc { (about) }
                style { (STYLE) }
            }
        };
        printable(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", svg.into_string()))
    }

    fn inside(&self) -> Markup {
        html! {
            title { (self.title) }
            rect class="ground" width=(WIDTH) height=(self.height) rx="6" {}
            text class="title" x="14" y="24" { (shortened(&self.title, 46)) }
            (self.body)
        }
    }
}

/// The field that marks are drawn in, between two axes.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// What stands on the x axis, and its numbers.
    pub(super) x: (&'static str, Scale),
    /// The same for the y axis.
    pub(super) y: (String, Scale),
}

impl Frame {
    /// Where a point stands.
    pub(super) fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let (x, y) = (self.x.1.place(x), self.y.1.place(y));
        (LEFT + x * (RIGHT - LEFT), BOTTOM - y * (BOTTOM - TOP))
    }

    /// Axes, marks and legend, with a title: the whole plot.
    pub(super) fn picture(&self, title: String, kind: &str, marks: Markup, keys: &[Key]) -> Picture {
        let (legend, height) = legend(keys, LEGEND);
        let field = format!("{LEFT} {TOP} {RIGHT} {BOTTOM}");
        let body = html! {
            (self.axes())
            g class="marks" data-kind=(kind) data-field=(field) data-x=(self.x.1.spec()) data-y=(self.y.1.spec()) {
                (marks)
            }
            (legend)
        };
        Picture { title, height, body }
    }

    fn axes(&self) -> Markup {
        html! {
            text class="axis" x="14" y="42" { (shortened(&self.y.0, 58)) }
            @for tick in &self.y.1.ticks {
                @let y = at(self.place((0.0, *tick)).1);
                line class="grid" x1=(LEFT) x2=(RIGHT) y1=(y) y2=(y) {}
                text class="tick end" x=(LEFT - 7.0) y=(y) dy="0.35em" { (self.y.1.unit.tick(*tick)) }
            }
            @for tick in &self.x.1.ticks {
                @let x = at(self.place((*tick, 0.0)).0);
                line class="base" x1=(x) x2=(x) y1=(BOTTOM) y2=(BOTTOM + 4.0) {}
                @if self.x.1.place(*tick) > 0.95 {
                    // In the middle, it would not have the room.
                    text class="tick end" x=(WIDTH - 6.0) y=(BOTTOM + 20.0) { (self.x.1.unit.tick(*tick)) }
                } @else {
                    text class="tick middle" x=(x) y=(BOTTOM + 20.0) { (self.x.1.unit.tick(*tick)) }
                }
            }
            line class="base" x1=(LEFT) x2=(RIGHT) y1=(BOTTOM) y2=(BOTTOM) {}
            text class="axis end" x=(RIGHT) y=(BOTTOM + 37.0) { (self.x.0) }
        }
    }
}

/// A line of the legend: the class that gives the colour, and the name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub(super) class: String,
    pub(super) name: String,
}

/// The legend, in as many lines as it needs, and where the picture ends below it.
pub(super) fn legend(keys: &[Key], top: f64) -> (Markup, f64) {
    let (mut x, mut y) = (14.0, top);
    let mut places = Vec::new();
    for key in keys {
        let name = shortened(&key.name, 52);
        let width = 34.0 + LETTER * name.chars().count() as f64;
        if x > 14.0 && x + width > WIDTH {
            (x, y) = (14.0, y + LINE);
        }
        places.push((key, name, x, y));
        x += width;
    }
    let legend = html! {
        @for (key, name, x, y) in &places {
            rect class={ "swatch " (key.class) } x=(x) y=(y - 9.0) width="12" height="12" rx="3" {}
            text class="key" x=(x + 18.0) y=(y) dy="0.1em" {
                @if *name != key.name { title { (key.name) } }
                (name)
            }
        }
    };
    (legend, y + 16.0)
}

/// A coordinate: a tenth is fine enough.
pub(super) fn at(coordinate: f64) -> String {
    let text = format!("{coordinate:.1}");
    text.strip_suffix(".0").map(str::to_string).unwrap_or(text)
}

/// `M` and `L` through points.
pub(super) fn path(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (x, y) in points {
        path.push(if path.is_empty() { 'M' } else { 'L' });
        path += &format!("{} {}", at(x), at(y));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::{Frame, Key, Picture, legend, path};
    use crate::bench::page::scale::Scale;
    use crate::bench::page::units::Unit;
    use maud::html;

    #[test]
    fn points_stand_in_the_field() {
        let frame = Frame {
            x: ("time", Scale::exact(Unit::Seconds, 10.0)),
            y: (String::new(), Scale::rounded(Unit::Rate, 4.0)),
        };
        let corners = [(0.0, 0.0), (10.0, 4.0), (99.0, -1.0)].map(|point| frame.place(point));
        assert_eq!(path(corners), "M66 236L464 60L464 236");
    }

    #[test]
    fn a_legend_breaks_its_lines() {
        let key = |name: &str| Key { class: "c0".into(), name: name.into() };
        let (_, one) = legend(&[key("bitcask"), key("lsm")], 100.0);
        let (markup, two) = legend(&[key(&"x".repeat(80)), key("lsm")], 100.0);
        assert_eq!((one, two), (116.0, 138.0));
        assert!(markup.into_string().contains("…"));
    }

    #[test]
    fn what_comes_from_outside_is_escaped() {
        let title = "</title><script>alert('\"')</script>\u{7}".to_string();
        let picture = Picture { title, height: 100.0, body: html! {} };
        let file = picture.file("a < b & c");
        assert!(!file.contains("<script") && file.contains("&lt;script&gt;"), "{file}");
        assert!(file.contains("<desc>a &lt; b &amp; c</desc>") && !file.contains('\u{7}'));
        assert!(roxmltree::Document::parse(&file).is_ok());
    }
}
