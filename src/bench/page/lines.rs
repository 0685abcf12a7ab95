//! Lines over time: for each configuration one, and the other rounds behind it, faint.

use crate::bench::page::plot::{Frame, Key, Picture, RIGHT, at, path};
use crate::bench::page::scale::Scale;
use crate::bench::page::units::Unit;
use maud::{Markup, html};

/// Points, in the order in which they came.
pub(super) type Points = Vec<(f64, f64)>;

/// One configuration's lines.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Its colour and name.
    pub(super) key: Key,
    /// Of the round in the middle.
    pub(super) strong: Points,
    /// Of the other rounds.
    pub(super) faint: Vec<Points>,
}

/// What is written on the axes, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axes {
    pub(super) x: (&'static str, Unit),
    pub(super) y: (&'static str, Unit),
    /// Whether numbers that lie far apart stand by factors.
    pub(super) may_be_log: bool,
}

/// The plot; `None` if there is nothing on it.
pub(super) fn draw(title: String, axes: Axes, lines: &[Line]) -> Option<Picture> {
    let all = || lines.iter().flat_map(|line| line.faint.iter().chain([&line.strong]).flatten());
    let most = all().map(|(x, _)| *x).fold(0.0, f64::max);
    let high = all().map(|(_, y)| *y).fold(0.0, f64::max);
    if most <= 0.0 || high <= 0.0 {
        return None;
    }
    let numbers = all().map(|(_, y)| *y);
    let y = match axes.may_be_log {
        true => Scale::fitting(axes.y.1, numbers),
        false => Scale::rounded(axes.y.1, high),
    };
    let is_log = y.is_log;
    let frame = Frame { x: (axes.x.0, Scale::exact(axes.x.1, most)), y: (axes.y.0.to_string(), y) };
    let marks = html! {
        @for line in lines {
            @for points in &line.faint { (mark(&frame, points, &format!("faint {}", line.key.class), None)) }
        }
        @for line in lines { (mark(&frame, &line.strong, &line.key.class, Some(&line.key.name))) }
        @if is_log { text class="axis end" x=(RIGHT) y="42" { "by factors" } }
    };
    let keys: Vec<Key> = lines.iter().map(|line| line.key.clone()).collect();
    Some(frame.picture(title, "lines", marks, &keys))
}

/// A line through the points; a single one is a dot.
fn mark(frame: &Frame, points: &Points, class: &str, name: Option<&str>) -> Markup {
    let places: Vec<_> = points.iter().map(|point| frame.place(*point)).collect();
    html! {
        @match places[..] {
            [] => {}
            [(x, y)] => circle class={ "dot " (class) } cx=(at(x)) cy=(at(y)) r="3.5" data-name=[name] {}
            _ => path class={ "line " (class) } d=(path(places)) data-name=[name] {}
        }
    }
}
