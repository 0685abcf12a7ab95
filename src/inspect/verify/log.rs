//! Verify a write-ahead log: its header, its checksum, and every batch in it.

use crate::engine::filename;
use crate::engine::lsm::version::edit::{WalMeta, WalState};
use crate::engine::lsm::wal;
use crate::inspect::batch::{LoggedBatch, is_likely};
use crate::inspect::scan::{Groups, Member, Piece, Scan};
use crate::inspect::verify::{Breaks, Verifier};

/// What was found in a log.
#[derive(Default)]
struct Found {
    breaks: Breaks,
    records: u64,
    writes: u64,
    /// The sequence number of the last write.
    last: Option<u64>,
}

impl Verifier {
    /// Checks a log against what the manifest says of it. Without a manifest only what the file says of
    /// itself is checked.
    pub(super) fn log(&mut self, number: u64, meta: Option<&WalMeta>) {
        let name = filename::wal(number);
        let Some(mut bytes) = self.open(&name) else { return };
        let damage_before = self.report.damage.len();
        let len = bytes.len();
        let expected = wal::header(self.store_id, number);
        let header = self.log_header(&name, Some(expected), &[expected], is_likely, &mut bytes);
        let Some(header) = header else { return };
        let mut scan = Scan::new(bytes, header, is_likely, u64::MAX);
        let found = self.batches(&name, meta.map_or(1, |meta| meta.first_seqno), &mut scan);
        self.unreadable(&name, scan.bytes());
        self.check("records", &name, found.records, len);
        self.check("writes", &name, found.writes, 0);
        let durable = match meta.map(|meta| meta.state) {
            Some(WalState::Sealed { len: wanted, .. }) => {
                if len != wanted {
                    self.damage(&name, len.min(wanted), format!("{len} bytes, not {wanted}"));
                }
                // In a sealed log there is no torn tail: all of it was durable.
                u64::MAX
            }
            Some(WalState::Active { durable }) => {
                if len < durable {
                    let reason = format!("the log ends here, but {durable} bytes of it were durable");
                    self.damage(&name, len, reason);
                }
                durable
            }
            None => 0,
        };
        let (damaged, torn) = found.breaks.split(durable);
        damaged.into_iter().for_each(|(offset, reason)| self.damage(&name, offset, reason));
        if let Some(offset) = torn {
            self.tail(&name, offset, len, &mut scan);
        }
        if self.report.damage.len() == damage_before
            && let Some(WalMeta { first_seqno, state: WalState::Sealed { checksum, last_seqno, .. } }) = meta
        {
            let last = found.last.unwrap_or(first_seqno.saturating_sub(1));
            if last != *last_seqno {
                self.damage(&name, len, format!("it ends with write {last}, not {last_seqno}"));
            }
            let sum = scan.bytes().checksum(0, 0, len);
            if sum != *checksum {
                self.damage(&name, 0, format!("its checksum is {sum:08x}, not {checksum:08x}"));
            }
            self.check("file checksum", &name, 1, len);
        }
    }

    fn batches(&mut self, name: &str, first_seqno: u64, scan: &mut Scan) -> Found {
        let (mut found, mut groups) = (Found::default(), Groups::default());
        while let Some(piece) = scan.next_piece() {
            let frame = match piece {
                Piece::Record(frame) => frame,
                Piece::Gap(gap) => {
                    found.breaks.add(gap.offset, gap.why.to_string());
                    found.last = None;
                    continue;
                }
            };
            found.breaks.claimed = found.breaks.claimed.max(frame.claim());
            found.records += 1;
            if groups.take(&frame) != (None, Member::Completes) {
                found.breaks.add(frame.offset, "a batch in several parts");
            }
            if frame.is_close() {
                continue;
            }
            let Some(batch) = LoggedBatch::read(scan.bytes(), &frame) else {
                self.damage(name, frame.offset, "a valid record that is no batch".into());
                continue;
            };
            found.writes += batch.count;
            let is_next = match found.last {
                Some(last) => batch.first_seqno == last + 1,
                // The first one, or the first one behind damage.
                None => batch.first_seqno >= first_seqno,
            };
            if !is_next {
                let before = found.last.unwrap_or(first_seqno.saturating_sub(1));
                let reason = format!("write {} follows write {before}", batch.first_seqno);
                self.damage(name, frame.offset, reason);
            }
            found.last = Some(batch.last_seqno());
        }
        found
    }
}
