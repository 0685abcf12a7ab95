//! A view: the segments of one moment. Readers pin one, and what they pinned stays readable.

use crate::engine::bitcask::segment::Segment;
use std::sync::Arc;

/// The segments of one moment, by number. Never changes; writers put another in its place.
///
/// Whoever reads pins the view first and looks into the keydir second. The other way round a merge
/// could move the value and remove its old segment in between. With the view pinned, the keydir's
/// place is either in a segment of the view, which stays, or in a newer one: then there is a newer
/// view, and the reader begins again.
#[derive(Clone, Debug, Default)]
pub struct View {
    segments: Vec<Arc<Segment>>,
}

impl View {
    /// A view of these segments.
    pub fn new(mut segments: Vec<Arc<Segment>>) -> View {
        segments.sort_by_key(|segment| segment.number);
        View { segments }
    }

    /// The segment with this number.
    #[inline]
    pub fn find(&self, number: u32) -> Option<&Arc<Segment>> {
        let number = u64::from(number);
        // Most reads are of the newest segments, and there are few.
        if let Some(last) = self.segments.last().filter(|last| last.number == number) {
            return Some(last);
        }
        let at = self.segments.binary_search_by_key(&number, |segment| segment.number).ok()?;
        Some(&self.segments[at])
    }

    /// A view with these as well.
    pub fn with(&self, added: impl IntoIterator<Item = Arc<Segment>>) -> View {
        View::new(self.segments.iter().cloned().chain(added).collect())
    }

    /// A view without the segments of these numbers.
    pub fn without(&self, numbers: &[u64]) -> View {
        let keep = |segment: &&Arc<Segment>| !numbers.contains(&segment.number);
        View { segments: self.segments.iter().filter(keep).cloned().collect() }
    }

    /// The segments, by number.
    pub fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// The segments from the oldest records to the newest.
    pub fn by_age(&self) -> Vec<Arc<Segment>> {
        let mut segments = self.segments.clone();
        segments.sort_by_key(|segment| (segment.first_seqno, segment.number));
        segments
    }
}
