//! Reads a log from its beginning, group by group, and says how it ends.

use crate::codec;
use crate::error::{Error, Result};
use crate::record::frame::{self, Bad, HEADER_LEN, Header, MAX_OVERHEAD, Part, Record, Shape};
use crate::record::sums::{Source, Sums};
use crate::record::window::Window;
use crate::vfs::dir::File;

/// Records up to this many bytes are checked by reading them, wherever they may be.
pub const SHORT: usize = 4 << 10;

/// How a log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With its last group, at this offset: nothing stands behind it.
    Clean,
    /// Behind its last group stand zeros only: space that was reserved and not used.
    Reserved,
    /// Behind its last whole group stand bytes that nothing vouches for.
    Torn,
}

/// What stands at the reader's position.
#[derive(Debug)]
enum Step {
    Group { end: u64 },
    End,
    Bad { at: u64, why: Bad },
}

/// Reads a log's records in order, and only those of whole groups.
///
/// A group is read twice: once to find its `Last`, with all checksums, then again record by record,
/// without them. So nothing of a group has to be kept in memory.
#[derive(Debug)]
pub struct LogReader<'f> {
    window: Window<'f>,
    salt: u32,
    /// Where the next record is.
    position: u64,
    /// Records below this offset belong to whole groups, and their checksums are right.
    verified: u64,
    ended: Option<(u64, Bad)>,
    closed: bool,
    synced: u64,
}

impl<'f> LogReader<'f> {
    /// Reads `file` up to `len`, as the log that `expected` describes.
    pub fn open(file: &'f File, len: u64, expected: Header) -> Result<LogReader<'f>> {
        let mut window = Window::new(file, len);
        match Header::decode(window.bytes(0, HEADER_LEN as usize)?) {
            Some(header) if header == expected => {}
            Some(_) => return Err(file.corruption(0, "the header is that of another file")),
            None => return Err(file.corruption(0, "the header is cut or damaged")),
        }
        Ok(LogReader::over(window, expected))
    }

    fn over(window: Window<'f>, header: Header) -> LogReader<'f> {
        LogReader {
            window,
            salt: header.salt(),
            position: HEADER_LEN,
            verified: HEADER_LEN,
            ended: None,
            closed: false,
            synced: 0,
        }
    }

    /// The next record and its offset; `None` at the end of the last whole group. `Close` records are
    /// passed over.
    pub fn next_record(&mut self) -> Result<Option<(u64, Record<'_>)>> {
        loop {
            if self.position >= self.verified && !self.verify_group()? {
                return Ok(None);
            }
            let (offset, synced, kind, len) = {
                let record = self.window.record(self.position)?;
                (self.position, record.synced, record.kind, record.len)
            };
            self.position += len as u64;
            self.synced = self.synced.max(synced.unwrap_or(0));
            self.closed = kind == frame::CLOSE;
            if !self.closed {
                // Read again, for the borrow checker: the window holds these bytes already.
                return Ok(Some((offset, self.window.record(offset)?)));
            }
        }
    }

    /// Finds the end of the group at the position; false if no whole group stands there.
    fn verify_group(&mut self) -> Result<bool> {
        if self.ended.is_some() {
            return Ok(false);
        }
        match self.look()? {
            Step::Group { end } => self.verified = end,
            Step::End => return Ok(false),
            Step::Bad { at, why } => {
                self.ended = Some((at, why));
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn look(&mut self) -> Result<Step> {
        let mut at = self.position;
        if at == self.window.len() {
            return Ok(Step::End);
        }
        loop {
            let (part, len) = match self.window.checked(at, self.salt)? {
                Ok(record) => (record.part, record.len),
                Err(why) => return Ok(Step::Bad { at, why }),
            };
            let first = at == self.position;
            at += len as u64;
            match (first, part) {
                (true, Part::Full) | (false, Part::Last) => return Ok(Step::Group { end: at }),
                (true, Part::First) | (false, Part::Middle) => {}
                _ => return Ok(Step::Bad { at: at - len as u64, why: Bad::Head }),
            }
        }
    }

    /// Where the last whole group ends.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether the last record was a `Close`.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The most that any record said was durable.
    pub fn synced(&self) -> u64 {
        self.synced
    }

    /// Why reading stopped before the end, as an error; for logs that must be whole.
    pub fn damage(&self) -> Option<Error> {
        let (at, why) = self.ended?;
        Some(self.window.file().corruption(at, why.to_string()))
    }

    /// After the last record: how the log ends. An error if what stands there was durable once, which
    /// a record behind it, or `durable` (a length known from elsewhere), proves.
    pub fn end(&mut self, durable: u64) -> Result<End> {
        let Some((at, why)) = self.ended else {
            return match self.position >= durable {
                true => Ok(End::Clean),
                false => Err(self.window.file().corruption(
                    self.position,
                    format!("the log ends here, but {durable} bytes of it were durable"),
                )),
            };
        };
        if durable > self.position {
            return Err(self
                .window
                .file()
                .corruption(at, format!("{why}, and {durable} bytes were durable")));
        }
        // Zeros are never a record: among them there is no witness to look for.
        if self.is_zero_behind(self.position)? {
            return Ok(End::Reserved);
        }
        match self.find_witness(at)? {
            None => Ok(End::Torn),
            Some(witness) => Err(self
                .window
                .file()
                .corruption(at, format!("{why}; the record at {witness} says that this was durable"))),
        }
    }

    fn is_zero_behind(&mut self, mut at: u64) -> Result<bool> {
        while at < self.window.len() {
            let bytes = self.window.ahead(at)?;
            if bytes.iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            at += bytes.len() as u64;
        }
        Ok(true)
    }

    /// Looks behind the bad offset `x` for a valid record that says that more than `x` bytes were
    /// durable. Tries every offset: lengths at and behind `x` can not be trusted.
    fn find_witness(&mut self, x: u64) -> Result<Option<u64>> {
        // A record can not say more than what stood before it: nearly all offsets fail here.
        self.find_record(x + 1, |bytes, offset, limit| {
            frame::claim(bytes, limit).is_some_and(|claim| claim > x && claim <= offset)
        })
    }

    /// Looks from `at` on for a valid record, at every offset of which its owner says that it may be one, by what
    /// stands there, the offset, and how many bytes the record can have.
    fn find_record(
        &mut self,
        mut at: u64,
        is_likely: impl Fn(&[u8], u64, u64) -> bool,
    ) -> Result<Option<u64>> {
        let (len, mut sums) = (self.window.len(), None);
        while at < len {
            let bytes = self.window.ahead(at)?;
            let is_candidate = |&i: &usize| is_likely(&bytes[i..], at + i as u64, len - at - i as u64);
            // Where the file goes on, what stands before a payload may be cut at the end of the window.
            let is_last = at + bytes.len() as u64 == len;
            let whole = if is_last { bytes.len() } else { bytes.len() - MAX_OVERHEAD + 1 };
            let Some(i) = (0..whole).find(is_candidate) else {
                at += whole as u64;
                continue;
            };
            at += i as u64;
            if self.is_record(at, &mut sums)? {
                return Ok(Some(at));
            }
            at += 1;
        }
        Ok(None)
    }

    /// Whether a record stands at `at`, by its checksum. What any bytes claim to be the length of a record
    /// may be megabytes, at thousands of offsets: long ones are asked of `sums`, made for the first of them.
    fn is_record(&mut self, at: u64, sums: &mut Option<Sums<Window<'f>>>) -> Result<bool> {
        let len = self.window.len();
        let head = self.window.bytes(at, MAX_OVERHEAD)?;
        let Ok(long) = frame::record_len(head, len - at) else { return Ok(false) };
        if long <= SHORT {
            return Ok(self.window.checked(at, self.salt)?.is_ok());
        }
        let sum = head.first_chunk().map_or(0, |sum| u32::from_le_bytes(*sum));
        let sums = match sums {
            Some(sums) => sums,
            None => sums.insert(Sums::build([self.window.elsewhere(), self.window.elsewhere()], at, len)?),
        };
        Ok(sums.checksum(frame::seed(self.salt, at), at + 4, at + long as u64)? == sum)
    }
}

/// Whether a whole record of these kinds, of the log that `header` describes, stands anywhere in a file, behind damage
/// too: then somebody wrote to it. What a clean close leaves is none.
///
/// A crash may have left the header torn, or nothing of it: that says neither. With another log's header it is that
/// log, and is not read.
pub fn holds_record(file: &File, header: Header, kinds: &[u8]) -> Result<bool> {
    let mut window = Window::new(file, file.len());
    let found = Header::decode(window.bytes(0, HEADER_LEN as usize)?);
    if found.is_some_and(|found| found != header) {
        return Ok(false);
    }
    let is_likely = |bytes: &[u8], _, limit| {
        Shape::read(bytes, limit).is_ok_and(|shape| kinds.contains(&shape.kind) && shape.len > shape.payload)
    };
    Ok(LogReader::over(window, header).find_record(HEADER_LEN, is_likely)?.is_some())
}

/// CRC-32C of the first `len` bytes of a file.
pub fn checksum(file: &File, len: u64) -> Result<u32> {
    Window::new(file, len).checksum(0, 0, len)
}

const _: () = assert!(codec::MAX_VARINT_LEN < MAX_OVERHEAD);

#[cfg(test)]
mod tests {
    use super::{End, LogReader, SHORT, checksum, holds_record};
    use crate::error::Error;
    use crate::record::frame::{self, CLOSE, Header, Part};
    use crate::record::window::WINDOW;
    use crate::record::writer::LogWriter;
    use crate::vfs::Cause;
    use crate::vfs::counting::CountingDisk;
    use crate::vfs::dir::{Dir, File};
    use crate::vfs::memory::SimDisk;
    use std::path::Path;
    use std::sync::Arc;

    /// With records, their checksums would tell: without any, the header alone can.
    #[test]
    fn an_empty_log_is_not_taken_for_another() {
        let dir = Dir::new(Arc::new(SimDisk::new()), Path::new("/"));
        let own = Header { store_id: 1, number: 2, kind: 3 };
        LogWriter::create(&dir, "log", own, Cause::Log).unwrap();
        let file = dir.open("log", Cause::Log).unwrap();
        let others = [Header { store_id: 9, ..own }, Header { number: 9, ..own }, Header { kind: 9, ..own }];
        for other in others {
            let error = LogReader::open(&file, file.len(), other).unwrap_err();
            assert!(error.to_string().contains("that of another file"), "{error}");
        }
        assert!(LogReader::open(&file, file.len(), own).unwrap().next_record().unwrap().is_none());
    }

    const HEADER: Header = Header { store_id: 1, number: 2, kind: 3 };

    /// A log of records: kind, part, what they say was durable, and the length of their payload. Where each
    /// of them begins, and where the last ends.
    fn log(records: &[(u8, Part, Option<u64>, usize)]) -> (Vec<u8>, Vec<u64>) {
        let (mut bytes, mut places) = (HEADER.encode().to_vec(), Vec::new());
        for (kind, part, synced, len) in records {
            let at = bytes.len() as u64;
            places.push(at);
            frame::encode(&mut bytes, HEADER.salt(), at, (*kind, *part), *synced, &[&vec![7; *len]]);
        }
        places.push(bytes.len() as u64);
        (bytes, places)
    }

    fn file(bytes: &[u8]) -> (CountingDisk, File) {
        let disk = CountingDisk::new(Arc::new(SimDisk::new()));
        let dir = Dir::new(Arc::new(disk.clone()), Path::new("/"));
        let file = dir.create("log", Cause::Log).unwrap();
        file.append(bytes).unwrap();
        (disk, file)
    }

    /// Reads all records; how many there were, and the reader.
    fn read(file: &File) -> (usize, LogReader<'_>) {
        let mut reader = LogReader::open(file, file.len(), HEADER).unwrap();
        let mut count = 0;
        while reader.next_record().unwrap().is_some() {
            count += 1;
        }
        (count, reader)
    }

    fn offset(error: Error) -> u64 {
        match error {
            Error::Corruption { offset, .. } => offset,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn only_whole_groups_are_read() {
        use Part::{First, Full, Last, Middle};
        let (bytes, at) =
            log(&[(1, Full, None, 5), (1, First, Some(40), 5), (1, Middle, None, 5), (1, Last, None, 5)]);
        let (_, whole) = file(&bytes);
        let (count, mut reader) = read(&whole);
        assert_eq!((count, reader.position(), reader.synced(), reader.is_closed()), (4, at[4], 40, false));
        assert!(reader.damage().is_none() && reader.end(at[4]).unwrap() == End::Clean);
        assert_eq!(offset(reader.end(at[4] + 1).unwrap_err()), at[4], "more was durable");
        for cut in at[1] + 1..at[4] {
            let (_, cut_file) = file(&bytes[..cut as usize]);
            let (count, reader) = read(&cut_file);
            assert_eq!((count, reader.position()), (1, at[1]), "cut at {cut}");
        }
        // A part that does not follow from the one before.
        for (parts, bad) in [([Full, Middle], 1), ([Full, Last], 1), ([First, Full], 1), ([First, First], 1)]
        {
            let (bytes, at) = log(&parts.map(|part| (1, part, None, 300)));
            let (_, file) = file(&bytes);
            let (_, reader) = read(&file);
            assert_eq!(offset(reader.damage().unwrap()), at[bad], "{parts:?}");
        }
        let (bytes, _) = log(&[(1, Full, None, 5), (CLOSE, Full, Some(50), 0)]);
        let (_, file) = file(&bytes);
        let (count, reader) = read(&file);
        assert_eq!((count, reader.is_closed(), reader.synced()), (1, true, 50));
    }

    #[test]
    fn zeros_behind_the_end_were_reserved_and_anything_else_is_torn() {
        let (mut bytes, at) = log(&[(1, Part::Full, None, 5)]);
        bytes.resize(bytes.len() + 2 * WINDOW + 9, 0);
        let end = |bytes: &[u8], durable| read(&file(bytes).1).1.end(durable);
        assert_eq!(end(&bytes, at[1]).unwrap(), End::Reserved);
        assert_eq!(offset(end(&bytes, at[1] + 1).unwrap_err()), at[1], "zeros were not durable");
        *bytes.last_mut().unwrap() = 1;
        assert_eq!(end(&bytes, at[1]).unwrap(), End::Torn);
        assert_eq!(end(&bytes, 0).unwrap(), End::Torn);
    }

    /// Damage, and behind it a record that says how much was durable before it was written.
    #[test]
    fn a_record_behind_damage_tells_whether_it_was_durable() {
        let end = |claim: u64, spoil: fn(&mut [u8])| {
            let (mut bytes, at) = log(&[(1, Part::Full, None, 5), (1, Part::Full, None, 5)]);
            bytes[at[1] as usize] ^= 1;
            let witness = bytes.len();
            frame::encode(&mut bytes, HEADER.salt(), at[2], (1, Part::Full), Some(claim), &[b"late"]);
            spoil(&mut bytes[witness..]);
            let (_, file) = file(&bytes);
            (read(&file).1.end(0), at)
        };
        let fine = |_: &mut [u8]| {};
        let (_, at) = end(0, fine);
        for claim in [at[1] + 1, at[2]] {
            assert_eq!(offset(end(claim, fine).0.unwrap_err()), at[1], "{claim} bytes were durable");
        }
        for claim in [0, at[1], at[2] + 1] {
            assert_eq!(end(claim, fine).0.unwrap(), End::Torn, "{claim}: nothing is said of it, or nonsense");
        }
        let spoiled = |bytes: &mut [u8]| *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(end(at[2], spoiled).0.unwrap(), End::Torn, "the witness is damaged too");
    }

    #[test]
    fn a_witness_may_stand_right_behind_the_first_bad_byte() {
        let (mut bytes, at) = log(&[(1, Part::Full, None, 5)]);
        bytes.push(0xff);
        frame::encode(&mut bytes, HEADER.salt(), at[1] + 1, (1, Part::Full), Some(at[1] + 1), &[]);
        let (_, file) = file(&bytes);
        assert_eq!(offset(read(&file).1.end(0).unwrap_err()), at[1]);
    }

    /// Found by a profile of the fuzzer, which spent its time in the search for a witness: each offset at which
    /// random bytes looked like a record had all that the record claimed to have checked. Opening a log of
    /// Bitcask took 4 s behind 8 MiB of torn random values and 26 s behind 32 MiB.
    #[test]
    fn a_torn_tail_is_read_a_few_times_whatever_it_claims() {
        let (mut bytes, at) = log(&[(1, Part::Full, None, 5)]);
        let mut claim = Vec::new();
        frame::encode(&mut claim, HEADER.salt(), at[1], (1, Part::Full), Some(at[1] + 1), &[&[7; 300_000]]);
        claim.truncate(12);
        for _ in 0..50_000 {
            bytes.push(0xff);
            bytes.extend_from_slice(&claim);
        }
        let torn = bytes.len() as u64;
        let (disk, file) = file(&bytes);
        let before = disk.ledger().total;
        assert_eq!(read(&file).1.end(0).unwrap(), End::Torn);
        let after = disk.ledger().total;
        assert!(
            after.read_bytes - before.read_bytes < 6 * torn,
            "{} bytes of {torn}",
            after.read_bytes - before.read_bytes
        );
        // One that is long, and right, is found among them.
        frame::encode(&mut bytes, HEADER.salt(), torn, (1, Part::Full), Some(torn), &[&[7; 3 * SHORT]]);
        let end = |bytes: &[u8]| read(&self::file(bytes).1).1.end(0);
        assert_eq!(offset(end(&bytes).unwrap_err()), at[1]);
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(end(&bytes).unwrap(), End::Torn);
    }

    #[test]
    fn a_file_is_read_in_large_pieces() {
        let (bytes, at) = log(&[(1, Part::Full, None, 1000); 700]);
        let (disk, file) = file(&bytes);
        assert_eq!(read(&file).0, 700);
        let reads = disk.ledger().total.read_calls;
        assert!((3..6).contains(&reads), "{reads} reads of {} bytes", bytes.len());
        for len in [0, 1, WINDOW as u64, WINDOW as u64 + 1, at[600], bytes.len() as u64] {
            assert_eq!(checksum(&file, len).unwrap(), crc32c::crc32c(&bytes[..len as usize]), "{len}");
        }
    }

    /// Only what a writer has put into a log shows that somebody wrote to it.
    #[test]
    fn a_record_of_these_kinds_that_holds_something_is_held() {
        let holds = |kind, len| {
            let (bytes, _) = log(&[(kind, Part::Full, None, len)]);
            holds_record(&file(&bytes).1, HEADER, &[1, 2]).unwrap()
        };
        assert!(holds(1, 1) && holds(2, 9));
        assert!(!holds(3, 1), "of another kind");
        assert!(!holds(1, 0), "with nothing in it");
        assert!(!holds_record(&file(&log(&[]).0).1, HEADER, &[1, 2]).unwrap(), "of nothing");
    }
}
