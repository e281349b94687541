//! Streams the layers of `docker save`, searches them for the token, and keeps some of the paths.
//!
//! A container would not show files that a later step deletes, and an image may not start.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read, Seek};
use std::process::{ChildStdout, Command, Output, Stdio};

use anyhow::{Context, Result};
use memchr::memmem::Finder;
use tar::{Archive, Entry};

use xtask_core::docker::Engine;
use xtask_core::interrupt;
use xtask_core::process::Finished;
use xtask_core::tree::RepoPath;

pub struct Look<'a> {
    pub token: Option<&'a [u8]>,
    pub keep: &'a dyn Fn(&str) -> bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageLayer {
    pub kept: BTreeSet<String>,
    /// The paths whose names or bytes contain the token.
    pub tokens: Vec<String>,
    /// Why the layer was not read.
    pub unread: Option<String>,
}

/// The layers of an image, the lowest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layers {
    pub layers: Vec<ImageLayer>,
    /// The image's descriptions that contain the token, such as its configuration.
    pub tokens: Vec<String>,
}

impl ImageLayer {
    fn unread(why: impl Into<String>) -> Self {
        Self {
            unread: Some(why.into()),
            ..Self::default()
        }
    }
}

impl Layers {
    pub fn unread(&self) -> Vec<String> {
        let unread = |(number, layer): (usize, &ImageLayer)| {
            let why = layer.unread.as_ref()?;
            Some(format!("layer {number} was not read: {why}"))
        };
        self.layers.iter().enumerate().filter_map(unread).collect()
    }
}

pub fn read(engine: &Engine, image: &str, look: &Look) -> Result<Layers> {
    let mut save = engine.command(&["save", image])?;
    save.stdin(Stdio::null());
    let read = read_output(save, |saved| read_saved(saved, look));
    let (layers, done) = read.context("running docker save")?;
    anyhow::ensure!(
        done.ok || layers.is_err() && done.stderr.trim().is_empty(),
        "docker save {image} failed: {}",
        done.message
    );
    layers.with_context(|| format!("reading what docker save wrote of {image}"))
}

fn read_output<T>(
    mut command: Command,
    read: impl FnOnce(BufReader<ChildStdout>) -> Result<T>,
) -> Result<(Result<T>, Finished)> {
    let mut file = tempfile::tempfile().context("making a temporary file")?;
    let mut child = (command.stdout(Stdio::piped()))
        .stderr(file.try_clone()?)
        .spawn()?;
    let stdout = child.stdout.take().context("it has no output")?;
    let result = read(BufReader::with_capacity(1 << 18, stdout));
    if result.is_err() {
        let _ = child.kill();
    }
    let status = child.wait()?;
    let (stdout, mut stderr) = (Vec::new(), Vec::new());
    file.rewind()?;
    file.read_to_end(&mut stderr)?;
    let output = Output {
        status,
        stdout,
        stderr,
    };
    Ok((result, output.into()))
}

const BLOCK: usize = 512;

/// Whether a blob is a description and not a layer. Descriptions are JSON and may be large, such as an
/// SBOM; a layer is a tar archive, maybe compressed.
fn is_text(start: &[u8]) -> bool {
    let is_tar = start.get(257..262) == Some(b"ustar");
    matches!(start.first(), None | Some(b'{' | b'[')) && !is_tar
        // Old formats have a `VERSION` beside each layer.
        || start.len() < BLOCK && unpacker(start).is_none()
}

fn read_saved(saved: impl Read, look: &Look) -> Result<Layers> {
    let mut archive = Archive::new(saved);
    let mut layers: BTreeMap<String, ImageLayer> = BTreeMap::new();
    let mut links = BTreeMap::new();
    let mut order = Vec::new();
    let mut tokens = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = path_of(&entry);
        if let Some(target) = target_of(&entry) {
            let target = RepoPath::from(&*path).leads_to(target.as_bytes());
            links.extend(target.map(|target| (path, target.to_string())));
            continue;
        }
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let mut start = Vec::new();
        entry.by_ref().take(BLOCK as u64).read_to_end(&mut start)?;
        let whole = io::Cursor::new(&start).chain(&mut entry);
        if path == "manifest.json" {
            let all: Vec<Manifest> =
                serde_json::from_reader(whole).context("reading manifest.json")?;
            let first = all.into_iter().next();
            order = first.context("manifest.json is empty")?.layers;
        } else if is_text(&start) {
            if Search::new(look.token).finds_in(whole)? {
                tokens.push(path);
            }
        } else {
            let layer = match unpacker(&start) {
                None => read_layer(whole, look),
                Some(program) => unpacked(program, whole, look),
            };
            layers.insert(path, layer?);
        }
    }
    // Read the padding, or the closed pipe kills docker.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    anyhow::ensure!(!order.is_empty(), "it has no list of layers");
    let layer = |name: &String| {
        let layer = layers.get(links.get(name).unwrap_or(name)).cloned();
        layer.unwrap_or_else(|| ImageLayer::unread("docker save did not write it"))
    };
    let layers = order.iter().map(layer).collect();
    Ok(Layers { layers, tokens })
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    layers: Vec<String>,
}

fn unpacker(start: &[u8]) -> Option<&'static str> {
    match start {
        [0x1f, 0x8b, ..] => Some("gzip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
        _ => None,
    }
}

/// Reads a compressed layer through a program; a failure becomes `unread`.
fn unpacked(program: &str, mut packed: impl Read, look: &Look) -> Result<ImageLayer> {
    let mut file = tempfile::tempfile().context("making a temporary file")?;
    io::copy(&mut packed, &mut file).context("reading a compressed layer")?;
    file.rewind()?;
    let mut command = Command::new(program);
    command.arg("-dc").stdin(file);
    Ok(
        match read_output(command, |layer| read_layer(layer, look)) {
            Ok((Ok(layer), done)) if done.ok => layer,
            Ok(_) => ImageLayer::unread(format!("{program} could not unpack it")),
            Err(_) => ImageLayer::unread(format!(
                "it is compressed, and there is no {program} to read it with"
            )),
        },
    )
}

/// An entry's path without a leading `./` or `/` and without a slash at the end.
fn path_of(entry: &Entry<impl Read>) -> String {
    let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let path = path.strip_prefix("./").unwrap_or(&path);
    path.trim_matches('/').to_owned()
}

fn target_of(entry: &Entry<impl Read>) -> Option<String> {
    let kind = entry.header().entry_type();
    let target = (kind.is_symlink() || kind.is_hard_link()).then(|| entry.link_name_bytes());
    target?.map(|target| String::from_utf8_lossy(&target).into_owned())
}

fn read_layer(layer: impl Read, look: &Look) -> Result<ImageLayer> {
    let mut archive = Archive::new(layer);
    let mut found = ImageLayer::default();
    let mut search = Search::new(look.token);
    for entry in archive.entries()? {
        interrupt::check()?;
        let mut entry = entry?;
        let path = path_of(&entry);
        let target = target_of(&entry).unwrap_or_default();
        let names = search.finds_in(path.as_bytes())? | search.finds_in(target.as_bytes())?;
        if search.finds_in(&mut entry)? || names {
            found.tokens.push(path.clone());
        }
        // `.wh.NAME` takes NAME of a lower layer away.
        let name = path.rsplit('/').next().unwrap_or_default();
        if !name.starts_with(".wh.") && (look.keep)(&path) {
            found.kept.insert(path);
        }
    }
    Ok(found)
}

/// Reads whole texts, and finds a token in them.
struct Search<'a> {
    finder: Option<Finder<'a>>,
    /// The last piece, with the overlap for a token that spans two.
    seen: Vec<u8>,
}

impl<'a> Search<'a> {
    const PIECE: usize = 1 << 17;

    fn new(token: Option<&'a [u8]>) -> Self {
        Self {
            finder: token.map(Finder::new),
            seen: Vec::new(),
        }
    }

    fn finds_in(&mut self, mut text: impl Read) -> io::Result<bool> {
        let mut found = false;
        self.seen.clear();
        loop {
            let mut piece = text.by_ref().take(Self::PIECE as u64);
            if piece.read_to_end(&mut self.seen)? == 0 {
                return Ok(found);
            }
            let mut overlap = 0;
            if let Some(finder) = &self.finder {
                found |= finder.find(&self.seen).is_some();
                overlap = finder.needle().len().saturating_sub(1);
            }
            self.seen.drain(..self.seen.len().saturating_sub(overlap));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// An entry as tar writes it.
    fn entry(path: &str, kind: u8, link: &str, data: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.set_path(path).unwrap();
        header.set_entry_type(tar::EntryType::new(kind));
        if !link.is_empty() {
            header.set_link_name(link).unwrap();
        }
        header.set_size(data.len() as u64);
        header.set_cksum();
        let mut out = header.as_bytes().to_vec();
        out.extend_from_slice(data);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
        out
    }

    const TOKEN: &[u8] = b"hf_secret";

    fn look() -> Look<'static> {
        Look {
            token: Some(TOKEN),
            keep: &|path| path.starts_with("worker"),
        }
    }

    fn end(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.extend([0; 1024]);
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut child = Command::new("gzip")
            .arg("-c")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        child.wait_with_output().unwrap().stdout
    }

    fn saved(layers: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let names: Vec<_> = layers.iter().map(|(name, _)| *name).collect();
        let mut bytes = Vec::new();
        // The last layer comes first: nothing says that they come in order.
        for (name, layer) in layers.iter().rev() {
            match std::str::from_utf8(layer) {
                Ok(target) if target.starts_with("../") => {
                    bytes.extend(entry(name, b'2', target, b""));
                }
                _ => bytes.extend(entry(name, b'0', "", layer)),
            }
        }
        let manifest = serde_json::json!([{"Config": "c", "Layers": names}]).to_string();
        bytes.extend(entry("manifest.json", b'0', "", manifest.as_bytes()));
        end(bytes)
    }

    fn engine(folder: &std::path::Path, script: &str) -> Engine {
        Engine {
            program: testing::program(folder, "docker", script),
        }
    }

    #[test]
    fn docker_is_heard_out_when_the_end_of_its_archive_comes_late() {
        let folder = tempfile::tempdir().unwrap();
        let layer = end(entry("worker/a.py", b'0', "", b"text"));
        let whole = saved(&[("one/layer.tar", layer)]);
        let archive = folder.path().join("archive");
        std::fs::write(&archive, &whole[..whole.len() - BLOCK]).unwrap();
        let script = format!(
            "cat '{}' && sleep 0.1 && head -c {BLOCK} /dev/zero",
            archive.display()
        );
        let layers = read(&engine(folder.path(), &script), "worker", &look()).unwrap();
        assert!(layers.layers[0].kept.contains("worker/a.py"));
    }

    #[test]
    fn a_docker_that_fails_without_a_word_is_told_by_how_it_ended() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("archive");
        std::fs::write(&archive, saved(&[("one/layer.tar", end(Vec::new()))])).unwrap();
        let script = format!("cat '{}' && kill -9 $$", archive.display());
        let error = read(&engine(folder.path(), &script), "worker", &look()).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("docker save worker failed: signal: 9"),
            "{error}"
        );
    }

    #[test]
    fn a_token_is_found_wherever_the_pieces_are_cut() {
        let found = |text: &[u8]| Search::new(Some(TOKEN)).finds_in(text).unwrap();
        for before in 0..=TOKEN.len() {
            let mut text = vec![b'.'; Search::PIECE - before];
            text.extend(TOKEN);
            assert!(found(&text), "{before}");
            text.pop();
            assert!(!found(&text), "{before}");
        }
        assert!(!found(b"hf_secrehf_secre"));
    }

    #[test]
    fn layers_are_read_in_their_order_and_a_deleted_token_is_still_found() {
        let mut first = entry("worker/", b'5', "", b"");
        first.extend(entry("worker/a.py", b'0', "", b"old"));
        first.extend(entry("worker/b.py", b'0', "", b"b"));
        first.extend(entry("root/.netrc", b'0', "", b"password hf_secret\n"));
        let mut second = entry("worker/a.py", b'0', "", b"new");
        second.extend(entry("worker/.wh.b.py", b'0', "", b""));
        second.extend(entry("root/.wh..wh..opq", b'0', "", b""));
        let bytes = saved(&[
            ("1/layer.tar", end(first)),
            ("2/layer.tar", gzip(&end(second))),
            ("3/layer.tar", b"../1/layer.tar".to_vec()),
        ]);
        let found = read_saved(&bytes[..], &look()).unwrap();
        assert_eq!(found.layers.len(), 3);
        assert_eq!(found.layers[0].tokens, ["root/.netrc"]);
        assert_eq!(found.layers[2], found.layers[0], "a link to the same");
        let kept = |number: usize| -> Vec<&str> {
            let kept = found.layers[number].kept.iter();
            kept.map(String::as_str).collect()
        };
        assert_eq!(kept(0), ["worker", "worker/a.py", "worker/b.py"]);
        assert_eq!(kept(1), ["worker/a.py"], "what takes a file away is none");
    }

    /// Docker writes what says how an image was made beside its layers.
    #[test]
    fn a_description_may_be_larger_than_a_layer_and_a_layer_may_begin_like_one() {
        let mut large = vec![b' '; (1 << 24) + 1];
        large[0] = b'{';
        large.extend(b"hf_secret}");
        let mut bytes = entry("blobs/sha256/sbom", b'0', "", &large);
        let layer = entry("{worker}/a", b'0', "", b"hf_secret");
        bytes.extend(saved(&[("1/layer.tar", end(layer))]));
        let found = read_saved(&bytes[..], &look()).unwrap();
        assert_eq!(found.tokens, ["blobs/sha256/sbom"]);
        assert_eq!(found.layers[0].tokens, ["{worker}/a"]);
    }

    #[test]
    fn descriptions_are_searched_and_what_cannot_be_unpacked_is_said() {
        let mut bytes = entry("c", b'0', "", b"{\"Env\": [\"A=hf_secret\"]}");
        let mut broken = gzip(b"whatever this was");
        broken.resize(600, 9);
        bytes.extend(saved(&[("1/layer.tar", broken)]));
        let found = read_saved(&bytes[..], &look()).unwrap();
        assert_eq!(found.tokens, ["c"]);
        let words = found.layers[0].unread.as_deref().unwrap();
        assert!(words.contains("gzip"), "{words}");
        assert!(read_saved(&end(Vec::new())[..], &look()).is_err());
    }
}
