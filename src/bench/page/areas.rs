//! Areas on top of each other over time: what a store is made of.

use crate::bench::page::lines::Axes;
use crate::bench::page::plot::{Frame, Key, Picture, path};
use crate::bench::page::scale::Scale;
use maud::html;

/// Layers over the same places: for each place on the x axis, the height of each layer.
#[derive(Clone, Debug, Default)]
pub(super) struct Areas {
    /// From the bottom up.
    pub(super) keys: Vec<Key>,
    /// The places on the x axis, ascending.
    pub(super) x: Vec<f64>,
    /// For each place, the height of each layer.
    pub(super) heights: Vec<Vec<f64>>,
}

impl Areas {
    /// The height of all layers together, at most.
    pub(super) fn most(&self) -> f64 {
        self.heights.iter().map(|layers| layers.iter().sum()).fold(0.0, f64::max)
    }

    /// For each layer, its lower and upper edge at each place.
    fn edges(&self) -> Vec<Vec<(f64, f64)>> {
        let mut edges = vec![Vec::with_capacity(self.x.len()); self.keys.len()];
        for layers in &self.heights {
            let mut low = 0.0;
            for (edge, height) in edges.iter_mut().zip(layers) {
                edge.push((low, low + height));
                low += height;
            }
        }
        edges
    }
}

/// The plot, with `high` at the top, so that several can be compared; `None` if there is nothing on it.
pub(super) fn draw(title: String, axes: Axes, areas: &Areas, high: f64) -> Option<Picture> {
    let most = areas.x.last().copied().filter(|most| *most > 0.0 && areas.x.len() > 1)?;
    if areas.most() <= 0.0 {
        return None;
    }
    let x = (axes.x.0, Scale::exact(axes.x.1, most));
    let frame = Frame { x, y: (axes.y.0, Scale::rounded(axes.y.1, high)) };
    let layers = areas.keys.iter().zip(areas.edges());
    // What is never there is not shown.
    let layers: Vec<_> = layers.filter(|(_, edge)| edge.iter().any(|(low, top)| top > low)).collect();
    let marks = html! {
        @for (key, edge) in &layers {
            @let sides = areas.x.iter().zip(edge);
            @let upper = sides.clone().map(|(x, (_, top))| frame.place((*x, *top)));
            @let lower = sides.rev().map(|(x, (low, _))| frame.place((*x, *low)));
            path class={ "area " (key.class) } d={ (path(upper.chain(lower))) "Z" } data-name=(key.name) {
            }
        }
    };
    let keys: Vec<Key> = layers.iter().rev().map(|(key, _)| (*key).clone()).collect();
    Some(frame.picture(title, "areas", marks, &keys))
}

#[cfg(test)]
mod tests {
    use super::{Areas, draw};
    use crate::bench::page::lines::Axes;
    use crate::bench::page::plot::Key;
    use crate::bench::page::units::Unit;

    #[test]
    fn layers_stand_on_each_other() {
        let key = |name: &str| Key { class: "c0".into(), name: name.into() };
        let keys = ["L1", "L2", "never"].map(key).to_vec();
        let heights = vec![vec![1.0, 2.0, 0.0], vec![3.0, 4.0, 0.0]];
        let areas = Areas { keys, x: vec![1.0, 2.0], heights };
        assert_eq!(areas.most(), 7.0);
        assert_eq!(areas.edges()[..2], [[(0.0, 1.0), (0.0, 3.0)], [(1.0, 3.0), (3.0, 7.0)]]);
        let axes = Axes { x: ("time", Unit::Seconds), y: ("bytes", Unit::Bytes), may_be_log: false };
        let svg = draw("a".into(), axes, &areas, 8.0).unwrap().inline().into_string();
        assert!(svg.contains("data-name=\"L2\"") && !svg.contains("never"), "{svg}");
        assert!(draw("a".into(), axes, &Areas::default(), 8.0).is_none());
    }
}
