//! Reading a tar archive as a stream: an entry at a time, nothing of it held.

use std::io::{self, Read};

const BLOCK: usize = 512;

/// The longest name that an extended header may give; nothing real comes near.
const LONGEST_NAME: u64 = 1 << 20;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    File,
    Folder,
    /// A symbolic or a hard link, with where it leads.
    Link {
        target: String,
        hard: bool,
    },
    Other,
}

/// An entry's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// As written, without a leading `./` or `/` and without a slash at the end.
    pub path: String,
    pub kind: Kind,
    pub size: u64,
}

/// An archive; between two calls of `next` it reads as the data of the current entry.
pub struct Archive<R> {
    inner: R,
    left: u64,
    padding: u64,
}

impl<R: Read> Archive<R> {
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            left: 0,
            padding: 0,
        }
    }

    /// The next entry; `None` at the end. By then the padding behind it is read too: whoever
    /// writes it would otherwise wait for ever, or be killed by the closed pipe.
    pub fn next(&mut self) -> io::Result<Option<Header>> {
        let mut long = Long::default();
        loop {
            self.skip()?;
            let mut block = [0; BLOCK];
            if !self.block(&mut block)? || block.iter().all(|&b| b == 0) {
                io::copy(&mut self.inner, &mut io::sink())?;
                return Ok(None);
            }
            let size = number(&block[124..136])?;
            self.left = size;
            self.padding = size.next_multiple_of(BLOCK as u64) - size;
            match block[156] {
                b'L' => long.path = Some(self.text(size)?),
                b'K' => long.link = Some(self.text(size)?),
                b'x' => {
                    let records = self.bytes(size)?;
                    long.records(&records);
                }
                b'g' => {}
                kind => {
                    if let Some(size) = long.size {
                        self.left = size;
                        self.padding = size.next_multiple_of(BLOCK as u64) - size;
                    }
                    return Ok(Some(header(&block, kind, self.left, long)));
                }
            }
        }
    }

    fn text(&mut self, size: u64) -> io::Result<String> {
        let bytes = self.bytes(size)?;
        Ok(field(&bytes))
    }

    fn bytes(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > LONGEST_NAME {
            return Err(broken("an extended header is too long"));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads a whole block; `false` at a clean end.
    fn block(&mut self, block: &mut [u8; BLOCK]) -> io::Result<bool> {
        let mut filled = 0;
        while filled < BLOCK {
            match self.inner.read(&mut block[filled..])? {
                0 if filled == 0 => return Ok(false),
                0 => return Err(broken("it ends in the middle of a header")),
                count => filled += count,
            }
        }
        Ok(true)
    }

    fn skip(&mut self) -> io::Result<()> {
        let rest = self.left + self.padding;
        let skipped = io::copy(&mut self.inner.by_ref().take(rest), &mut io::sink())?;
        if skipped < rest {
            return Err(broken("it ends in the middle of a file"));
        }
        (self.left, self.padding) = (0, 0);
        Ok(())
    }
}

impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(most);
        let count = self.inner.read(&mut buffer[..wanted])?;
        if count == 0 && wanted > 0 {
            return Err(broken("it ends in the middle of a file"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// What extended headers say of the entry behind them.
#[derive(Default)]
struct Long {
    path: Option<String>,
    link: Option<String>,
    size: Option<u64>,
}

impl Long {
    /// Reads pax records: `length name=value\n`, the length being that of the whole record.
    fn records(&mut self, mut bytes: &[u8]) {
        while let Some(space) = bytes.iter().position(|&b| b == b' ') {
            let length = std::str::from_utf8(&bytes[..space]).ok();
            let Some(length) = length.and_then(|text| text.parse::<usize>().ok()) else {
                return;
            };
            let Some(record) = bytes.get(space + 1..length) else {
                return;
            };
            let record = String::from_utf8_lossy(record);
            if let Some((name, value)) = record.trim_end_matches('\n').split_once('=') {
                match name {
                    "path" => self.path = Some(value.to_owned()),
                    "linkpath" => self.link = Some(value.to_owned()),
                    "size" => self.size = value.parse().ok(),
                    _ => {}
                }
            }
            bytes = &bytes[length..];
        }
    }
}

fn header(block: &[u8; BLOCK], kind: u8, size: u64, long: Long) -> Header {
    let name = field(&block[..100]);
    let is_posix = block[257..].starts_with(b"ustar\0");
    let prefix = if is_posix {
        field(&block[345..500])
    } else {
        String::new()
    };
    let short = if prefix.is_empty() {
        name
    } else {
        format!("{prefix}/{name}")
    };
    let path = long.path.unwrap_or(short);
    let target = long.link.unwrap_or_else(|| field(&block[157..257]));
    Header {
        path: plain(&path),
        kind: match kind {
            0 | b'0' | b'7' => Kind::File,
            b'5' => Kind::Folder,
            b'1' => Kind::Link { target, hard: true },
            b'2' => Kind::Link {
                target,
                hard: false,
            },
            _ => Kind::Other,
        },
        size,
    }
}

fn plain(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    path.trim_matches('/').to_owned()
}

/// Text up to the first NUL.
fn field(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// A number in octal digits or, from 8 GiB on, in binary with the first bit set.
fn number(bytes: &[u8]) -> io::Result<u64> {
    if bytes[0] & 0x80 != 0 {
        let tail = &bytes[bytes.len() - 8..];
        return Ok(tail.iter().fold(0, |sum, &b| sum << 8 | u64::from(b)));
    }
    let text = field(bytes);
    let text = text.trim();
    if text.is_empty() {
        return Ok(0);
    }
    u64::from_str_radix(text, 8).map_err(|_| broken("a header is no header"))
}

fn broken(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the archive is broken: {what}"),
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An entry as tar writes it.
    pub fn entry(path: &str, kind: u8, link: &str, data: &[u8]) -> Vec<u8> {
        let mut block = [0u8; BLOCK];
        block[..path.len().min(100)].copy_from_slice(&path.as_bytes()[..path.len().min(100)]);
        let size = format!("{:011o}", data.len());
        block[124..135].copy_from_slice(size.as_bytes());
        block[156] = kind;
        block[157..157 + link.len()].copy_from_slice(link.as_bytes());
        block[257..263].copy_from_slice(b"ustar\0");
        let mut out = block.to_vec();
        out.extend_from_slice(data);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
        out
    }

    #[test]
    fn entries_come_one_by_one_whether_their_data_is_read_or_not() {
        let long = "a/".repeat(80) + "file";
        let record = format!(" path={long}\n");
        let record = format!("{}{record}", record.len() + 3);
        let mut bytes = entry("./etc/", b'5', "", b"");
        bytes.extend(entry("./etc/one", b'0', "", b"first"));
        bytes.extend(entry("x", b'x', "", record.as_bytes()));
        bytes.extend(entry("cut", b'0', "", &[7; 600]));
        bytes.extend(entry("y", b'L', "", b"gnu/long\0"));
        bytes.extend(entry("cut", b'2', "../one", b""));
        bytes.extend([0; 1024]);
        let mut archive = Archive::new(&bytes[..]);
        let mut next = || archive.next().unwrap().map(|h| (h.path, h.kind, h.size));
        assert_eq!(next(), Some(("etc".into(), Kind::Folder, 0)));
        assert_eq!(next(), Some(("etc/one".into(), Kind::File, 5)));
        assert_eq!(next(), Some((long, Kind::File, 600)));
        let target = "../one".to_owned();
        let link = Kind::Link {
            target,
            hard: false,
        };
        assert_eq!(next(), Some(("gnu/long".into(), link, 0)));
        assert_eq!(next(), None);

        let mut archive = Archive::new(&bytes[..]);
        archive.next().unwrap();
        archive.next().unwrap();
        let mut data = String::new();
        archive.read_to_string(&mut data).unwrap();
        assert_eq!(data, "first");
    }

    #[test]
    fn an_archive_that_was_cut_off_is_an_error() {
        let whole = entry("one", b'0', "", &[7; 600]);
        let mut archive = Archive::new(&whole[..700]);
        archive.next().unwrap();
        assert!(archive.next().is_err());
        assert!(Archive::new(&whole[..100]).next().is_err());
        assert!(Archive::new(&[b'x'; BLOCK][..]).next().is_err());
    }

    #[test]
    fn sizes_beyond_eight_gibibytes_are_binary() {
        let mut bytes = [0; 12];
        bytes[0] = 0x80;
        bytes[7] = 2;
        assert_eq!(number(&bytes).unwrap(), 2 << 32);
    }
}
