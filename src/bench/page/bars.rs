//! Bars of parts: one for each configuration, and what it is made of.

use crate::bench::page::plot::{Key, LEFT, Picture, RIGHT, TOP, WIDTH, at, legend};
use crate::bench::page::scale::Scale;
use crate::bench::page::units::{Unit, shortened};
use maud::{Markup, html};

/// Bars of the same parts.
#[derive(Clone, Debug, Default)]
pub(super) struct Bars {
    /// The parts, from the beginning of a bar on.
    pub(super) keys: Vec<Key>,
    /// For each configuration its name, and the length of each part; `None` if nobody counted.
    pub(super) bars: Vec<(String, Option<Vec<f64>>)>,
}

/// Height of a bar with its name.
const STEP: f64 = 46.0;
const THICK: f64 = 20.0;
/// Where bars begin and end.
const BEGIN: f64 = 14.0;
const END: f64 = RIGHT - LEFT - 4.0;

impl Bars {
    /// A part more at the end of each bar; a bar that has no such part gets none.
    pub(super) fn add(&mut self, key: Key, lengths: Vec<Option<f64>>) {
        self.keys.push(key);
        for ((_, bar), length) in self.bars.iter_mut().zip(lengths) {
            if let Some(bar) = bar {
                bar.push(length.unwrap_or(0.0));
            }
        }
    }

    /// The length of the longest.
    pub(super) fn most(&self) -> f64 {
        let lengths = self.bars.iter().filter_map(|(_, bar)| Some(bar.as_ref()?.iter().sum()));
        lengths.fold(0.0, f64::max)
    }

    /// The same as a table: a row for each part, a column for each configuration.
    pub(super) fn table(&self, unit: Unit) -> Markup {
        html! {
            div class="scroll" { table class="numbers" {
                thead { tr {
                    th scope="col" { "part" }
                    @for (name, _) in &self.bars { th scope="col" class="number" { (name) } }
                } }
                tbody {
                    @for (at, key) in self.keys.iter().enumerate() { tr {
                        th scope="row" { span class={ "chip " (key.class) } {} (key.name) }
                        @for (_, bar) in &self.bars {
                            td class="number" { (told(bar.as_ref().map(|bar| bar[at]), unit)) }
                        }
                    } }
                    tr class="sum" {
                        th scope="row" { "together" }
                        @for (_, bar) in &self.bars {
                            td class="number" { (told(bar.as_ref().map(|bar| bar.iter().sum()), unit)) }
                        }
                    }
                }
            } }
        }
    }
}

fn told(number: Option<f64>, unit: Unit) -> String {
    number.map_or("–".to_string(), |number| unit.tell(number))
}

/// The plot; `None` if there is nothing on it.
pub(super) fn draw(title: String, axis: &str, unit: Unit, bars: &Bars) -> Option<Picture> {
    if bars.most() <= 0.0 {
        return None;
    }
    let scale = Scale::rounded(unit, bars.most());
    let x = |length: f64| BEGIN + scale.place(length) * (END - BEGIN);
    let bottom = TOP + STEP * bars.bars.len() as f64 + 2.0;
    let (legend, height) = legend(&bars.keys, bottom + 42.0);
    let body = html! {
        text class="axis" x="14" y="42" { (axis) }
        @for tick in &scale.ticks {
            line class="grid" x1=(at(x(*tick))) x2=(at(x(*tick))) y1=(TOP) y2=(bottom) {}
            text class={ "tick " @if *tick > 0.0 { "middle" } } x=(at(x(*tick))) y=(bottom + 16.0) {
                (unit.tick(*tick))
            }
        }
        g class="marks" data-kind="bars" {
            @for (at, (name, bar)) in bars.bars.iter().enumerate() {
                @let y = TOP + STEP * at as f64;
                text class="key" x=(BEGIN) y=(y + 12.0) { (shortened(name, 52)) }
                (parts(name, bar.as_deref(), &bars.keys, y + 18.0, &x, unit))
            }
        }
        (legend)
    };
    Some(Picture { title, height, body })
}

fn parts(
    name: &str,
    bar: Option<&[f64]>,
    keys: &[Key],
    y: f64,
    x: &dyn Fn(f64) -> f64,
    unit: Unit,
) -> Markup {
    let Some(bar) = bar else {
        return html! { text class="tick" x=(BEGIN) y=(y + 14.0) { "nobody counted" } };
    };
    let mut total = 0.0;
    let mut spans = Vec::new();
    for (key, length) in keys.iter().zip(bar).filter(|(_, length)| **length > 0.0) {
        spans.push((key, length, x(total), x(total + length)));
        total += length;
    }
    html! {
        @for (key, length, begin, end) in spans {
            rect class={ "bar " (key.class) } x=(at(begin)) y=(at(y)) width=(at(end - begin)) height=(THICK) {
                title { (name) ", " (key.name) ": " (unit.tell(*length)) }
            }
        }
        text class="total" x=(at((x(total) + 7.0).min(WIDTH - 70.0))) y=(at(y + 14.5)) { (unit.tell(total)) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bars, draw};
    use crate::bench::page::plot::Key;
    use crate::bench::page::units::Unit;

    #[test]
    fn parts_stand_behind_each_other() {
        let key = |name: &str| Key { class: "c0".into(), name: name.into() };
        let mut bars = Bars { keys: Vec::new(), bars: vec![("a".into(), Some(vec![])), ("b".into(), None)] };
        bars.add(key("log"), vec![Some(1.0), Some(9.0)]);
        bars.add(key("merge"), vec![Some(3.0), None]);
        assert_eq!(bars.most(), 4.0, "nobody counted b");
        let svg = draw("t".into(), "bytes", Unit::Times, &bars).unwrap().inline().into_string();
        // The field is 14 to 394 wide, and 4 long.
        assert!(svg.contains("x=\"14\" y=\"78\" width=\"95\""), "{svg}");
        assert!(svg.contains("x=\"109\" y=\"78\" width=\"285\"") && svg.contains("nobody counted"), "{svg}");
        let table = bars.table(Unit::Times).into_string();
        assert!(table.contains("4.00×") && table.contains("–"), "{table}");
        assert!(draw("t".into(), "bytes", Unit::Times, &Bars::default()).is_none());
    }
}
