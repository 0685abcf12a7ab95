//! Verify the manifest: every edit, one by one.

use crate::engine::filename::MANIFEST;
use crate::engine::manifest::{Files, LOG_KIND};
use crate::inspect::edits;
use crate::inspect::header;
use crate::inspect::scan::{Groups, Member, Piece, Scan};
use crate::inspect::verify::{Breaks, Verifier};
use crate::record::frame::{HEADER_LEN, Header};
use serde::Serialize;
use serde::de::DeserializeOwned;

impl Verifier {
    /// Reads all edits. `None` if there is damage: what is live is not known then.
    pub(super) fn manifest<F>(&mut self) -> Option<Files<F>>
    where
        F: Serialize + DeserializeOwned + Clone,
    {
        let mut bytes = self.open(MANIFEST)?;
        let len = bytes.len();
        let Some(header) = header::read(&mut bytes) else {
            self.damage(MANIFEST, 0, "the header is cut or damaged".into());
            return None;
        };
        if header != (Header { store_id: self.store_id, kind: LOG_KIND, ..header }) {
            self.damage(MANIFEST, 0, "the header is that of another file".into());
            return None;
        }
        let mut scan = Scan::new(bytes, header, edits::is_likely, u64::MAX);
        let (files, breaks, read) = self.edits::<F>(&mut scan);
        self.unreadable(MANIFEST, scan.bytes());
        let (damaged, torn) = breaks.split(0);
        let mut is_whole = damaged.is_empty();
        damaged.into_iter().for_each(|(offset, reason)| self.damage(MANIFEST, offset, reason));
        if let Some(offset) = torn {
            let what = if scan.bytes().is_zero(offset, len) { "zeros" } else { "a torn edit" };
            self.note(format!("{MANIFEST}: {what} at {offset}, {} bytes", len - offset));
        }
        if read == 0 {
            self.damage(MANIFEST, HEADER_LEN, "the manifest's first edit is missing".into());
            is_whole = false;
        }
        self.check("edits", MANIFEST, read, len);
        // A valid record that is no edit, or that can not be applied, is damage as well.
        let path = self.dir.join(MANIFEST).display().to_string();
        is_whole &= self.report.damage.iter().all(|damage| damage.path != path);
        is_whole.then_some(files)
    }

    /// Applies the edits up to the first break, and walks on behind it.
    fn edits<F>(&mut self, scan: &mut Scan) -> (Files<F>, Breaks, u64)
    where
        F: Serialize + DeserializeOwned + Clone,
    {
        let (mut files, mut breaks, mut read) = (Files::default(), Breaks::default(), 0);
        let mut groups = Groups::default();
        while let Some(piece) = scan.next_piece() {
            let frame = match piece {
                Piece::Record(frame) => frame,
                Piece::Gap(gap) => {
                    groups.cut();
                    breaks.add(gap.offset, gap.why.to_string());
                    continue;
                }
            };
            breaks.claimed = breaks.claimed.max(frame.claim());
            if groups.take(&frame) != (None, Member::Completes) {
                breaks.add(frame.offset, "an edit in several parts");
            }
            if frame.is_close() || !breaks.places.is_empty() {
                continue;
            }
            read += 1;
            let applied = match edits::edit(scan.bytes(), &frame) {
                Some(edit) => files.apply(&edit),
                None => Err("a valid record that is no edit".into()),
            };
            if let Err(reason) = applied {
                self.damage(MANIFEST, frame.offset, reason);
            }
        }
        (files, breaks, read)
    }
}
