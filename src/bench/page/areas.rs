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

/// How far the axes of several plots go, so that they can be compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    /// The largest number on the x axis; more than 0.
    pub(super) wide: f64,
    /// The same on the y axis.
    pub(super) high: f64,
}

impl Reach {
    /// As far as all of them need; `None` if there is nothing to see.
    pub(super) fn of<'a>(all: impl Iterator<Item = &'a Areas> + Clone) -> Option<Reach> {
        let wide = all.clone().filter_map(|areas| areas.x.last()).copied().fold(0.0, f64::max);
        let high = all.map(Areas::most).fold(0.0, f64::max);
        (wide > 0.0 && high > 0.0).then_some(Reach { wide, high })
    }
}

/// The plot of a store with a name; `None` if there is nothing on it.
pub(super) fn draw(title: String, name: &str, axes: Axes, areas: &Areas, reach: Reach) -> Option<Picture> {
    if areas.x.len() < 2 || areas.most() <= 0.0 {
        return None;
    }
    let x = (axes.x.0, Scale::exact(axes.x.1, reach.wide));
    let y = (format!("{}, {name}", axes.y.0), Scale::rounded(axes.y.1, reach.high));
    let frame = Frame { x, y };
    let layers = areas.keys.iter().zip(areas.edges());
    // What can not be seen is not in the legend.
    let visible = frame.y.1.most / 500.0;
    let layers: Vec<_> =
        layers.filter(|(_, edge)| edge.iter().any(|(low, top)| top - low > visible)).collect();
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
    use super::{Areas, Reach, draw};
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
        let reach = Reach::of([areas.clone()].iter()).unwrap();
        assert_eq!((reach.wide, reach.high), (2.0, 7.0));
        let svg = draw("a".into(), "lsm", axes, &areas, reach).unwrap().inline().into_string();
        assert!(svg.contains("data-name=\"L2\"") && !svg.contains("never"), "{svg}");
        assert!(draw("a".into(), "lsm", axes, &Areas::default(), reach).is_none());
        assert!(Reach::of([Areas::default()].iter()).is_none());
    }
}
