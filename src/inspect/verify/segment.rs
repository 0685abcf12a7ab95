//! Verify a segment: its header, its checksum, and every record in it.

use crate::engine::bitcask::keydir::Keydir;
use crate::engine::bitcask::keydir::place::Place;
use crate::engine::bitcask::segment::{Origin, SegmentMeta, SegmentState};
use crate::engine::filename;
use crate::inspect::bytes::Bytes;
use crate::inspect::entry;
use crate::inspect::header;
use crate::inspect::scan::{Frame, Groups, Likely, Member, Piece, Scan};
use crate::inspect::verify::{Breaks, Verifier};
use crate::record::frame::Header;

/// What was found in a segment.
#[derive(Default)]
struct Found {
    breaks: Breaks,
    groups: Groups,
    /// The records of the group that is open.
    pending: Vec<(Vec<u8>, Place, What)>,
    records: u64,
    whole_groups: u64,
    newest: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Set,
    Removal,
}

impl Verifier {
    /// Checks a segment against what the manifest says of it, and puts its keys into `keydir`. Without
    /// a manifest only what the file says of itself is checked.
    pub(super) fn segment(&mut self, number: u64, meta: Option<&SegmentMeta>, keydir: &Keydir) {
        let name = filename::segment(number);
        let Some(mut bytes) = self.open(&name) else { return };
        let damage_before = self.report.damage.len();
        let len = bytes.len();
        let (mut durable, mut checksum) = (0, None);
        match meta.map(|meta| &meta.state) {
            Some(SegmentState::Sealed(sealed)) => {
                (durable, checksum) = (sealed.len, Some(sealed.checksum));
                if len != sealed.len {
                    let reason = format!("{len} bytes, not {}", sealed.len);
                    self.damage(&name, len.min(sealed.len), reason);
                }
            }
            Some(SegmentState::Active { durable: known }) => {
                durable = *known;
                if len < durable {
                    let reason = format!("the log ends here, but {durable} bytes of it were durable");
                    self.damage(&name, len, reason);
                }
            }
            None => {}
        }
        let expected = meta.map(|meta| meta.header(self.store_id, number));
        let likely = |origin: Origin| Header { store_id: self.store_id, number, kind: origin.log_kind() };
        let candidates = [likely(Origin::Log), likely(Origin::Merge)];
        let header = self.log_header(&name, expected, &candidates, entry::is_likely, &mut bytes);
        let Some(header) = header else { return };
        let mut scan = Scan::new(bytes, header, entry::is_likely, u64::MAX);
        let range = meta.map(seqno_range).filter(|_| header.number == number);
        let found = self.records(&name, number, range, &mut scan, keydir);
        self.unreadable(&name, scan.bytes());
        self.check("records", &name, found.records, len);
        self.check("groups", &name, found.whole_groups, 0);
        let is_sealed = checksum.is_some();
        // In a sealed segment there is no torn tail: all of it was durable.
        let (damaged, torn) = found.breaks.split(if is_sealed { u64::MAX } else { durable });
        damaged.into_iter().for_each(|(offset, reason)| self.damage(&name, offset, reason));
        if let Some(offset) = torn {
            self.tail(&name, offset, len, &mut scan);
        }
        let is_fine = self.report.damage.len() == damage_before;
        if let Some(wanted) = checksum.filter(|_| is_fine) {
            let sum = scan.bytes().checksum(0, 0, len);
            if sum != wanted {
                self.damage(&name, 0, format!("its checksum is {sum:08x}, not {wanted:08x}"));
            }
            self.check("file checksum", &name, 1, len);
        }
    }

    /// The header that a log's records are checked with: the file's own, or what it must have been.
    pub(super) fn log_header(
        &mut self,
        name: &str,
        expected: Option<Header>,
        candidates: &[Header],
        likely: Likely,
        bytes: &mut Bytes,
    ) -> Option<Header> {
        match header::read(bytes) {
            None => {
                self.damage(name, 0, "the header is cut or damaged".into());
                expected.or_else(|| header::prove(bytes, candidates, likely, u64::MAX))
            }
            Some(found) if expected.map_or(candidates.contains(&found), |expected| expected == found) => {
                Some(found)
            }
            Some(found) => {
                let Header { store_id, number, kind } = found;
                self.damage(
                    name,
                    0,
                    format!(
                        "the header is that of another file: number {number}, kind {kind}, store {store_id:016x}"
                    ),
                );
                Some(found)
            }
        }
    }

    fn records(
        &mut self,
        name: &str,
        number: u64,
        range: Option<(u64, u64)>,
        scan: &mut Scan,
        keydir: &Keydir,
    ) -> Found {
        let mut found = Found::default();
        while let Some(piece) = scan.next_piece() {
            match piece {
                Piece::Record(frame) => {
                    self.record(name, number, range, scan.bytes(), &frame, &mut found, keydir)
                }
                Piece::Gap(gap) => {
                    found.cut();
                    found.breaks.add(gap.offset, gap.why.to_string());
                }
            }
        }
        found.cut();
        found
    }

    #[expect(clippy::too_many_arguments, reason = "what is known of the segment, and what of the record")]
    fn record(
        &mut self,
        name: &str,
        number: u64,
        range: Option<(u64, u64)>,
        bytes: &mut Bytes,
        frame: &Frame,
        found: &mut Found,
        keydir: &Keydir,
    ) {
        found.breaks.claimed = found.breaks.claimed.max(frame.claim());
        found.records += 1;
        let (cut, member) = found.groups.take(frame);
        found.note_cut(cut);
        if member == Member::Stray {
            found.breaks.add(frame.offset, "the beginning of its group is missing");
        }
        if frame.is_close() {
            found.whole_groups += 1;
            return;
        }
        let Some(head) = entry::head(bytes, frame) else {
            let reason = "a valid record that is neither set nor delete";
            return self.damage(name, frame.offset, reason.into());
        };
        let (first, last) = range.unwrap_or((0, u64::MAX));
        if !(first..=last).contains(&head.seqno) {
            let reason = format!("sequence number {}; the manifest says {first} to {last}", head.seqno);
            self.damage(name, frame.offset, reason);
        }
        if head.seqno <= found.newest {
            let reason = format!("sequence number {} behind {}", head.seqno, found.newest);
            self.damage(name, frame.offset, reason);
        }
        found.newest = found.newest.max(head.seqno);
        let place =
            Place { segment: number as u32, offset: frame.offset as u32, len: frame.shape.len as u32 };
        let what = if head.value.is_some() { What::Set } else { What::Removal };
        found.pending.push((head.key.to_vec(), place, what));
        match member {
            Member::Completes => found.apply(keydir),
            Member::Continues => {}
            Member::Stray => found.pending.clear(),
        }
    }

    /// Notes what may stand behind the end of a log that grew.
    pub(super) fn tail(&mut self, name: &str, offset: u64, len: u64, scan: &mut Scan) {
        let bytes = len.saturating_sub(offset);
        let what = match scan.bytes().is_zero(offset, len) {
            true => "zeros, written ahead and not used",
            false => "a torn tail, which nothing says was durable",
        };
        self.note(format!("{name}: {bytes} bytes at {offset}: {what}"));
    }
}

impl Found {
    /// A whole group goes into the keydir; behind a break nothing does, as in recovery.
    fn apply(&mut self, keydir: &Keydir) {
        self.whole_groups += 1;
        for (key, place, what) in self.pending.drain(..).filter(|_| self.breaks.places.is_empty()) {
            match what {
                What::Set => keydir.set(&key, place),
                What::Removal => keydir.remove(&key),
            };
        }
    }

    fn cut(&mut self) {
        let cut = self.groups.cut();
        self.note_cut(cut);
    }

    fn note_cut(&mut self, cut: Option<u64>) {
        if let Some(began) = cut {
            self.breaks.add(began, "a group without its Last");
            self.pending.clear();
        }
    }
}

fn seqno_range(meta: &SegmentMeta) -> (u64, u64) {
    match &meta.state {
        SegmentState::Sealed(sealed) => (meta.first_seqno, sealed.last_seqno),
        SegmentState::Active { .. } => (meta.first_seqno, u64::MAX),
    }
}
