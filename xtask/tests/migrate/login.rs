//! An upstream behind a login: a real web server, and what git's helper for it is started with.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::support::Lab;

/// "bob:s3c@ret", as a browser would send it.
const LOGIN: &str = "Basic Ym9iOnMzY0ByZXQ=";

/// A web server with the repositories of a folder.
struct Server {
    folder: PathBuf,
    /// What its visitors log in with.
    login: Option<&'static str>,
    /// The port on another host where it sends them.
    elsewhere: Option<u16>,
    /// What its visitors have tried to log in with.
    tried: Mutex<Vec<String>>,
}

impl Server {
    /// Starts it; it ends with this process.
    fn start(lab: &Lab, login: Option<&'static str>, elsewhere: Option<u16>) -> (u16, Arc<Self>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Arc::new(Self {
            folder: lab.path(""),
            login,
            elsewhere,
            tried: Mutex::default(),
        });
        let started = Arc::clone(&server);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A client that gives up is no matter of the server's.
                let _ = answer(client, &started);
            }
        });
        (port, server)
    }
}

fn answer(mut client: TcpStream, server: &Server) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut words = request.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut backend = Command::new("git");
    backend
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &server.folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query);
    let (mut length, mut allowed) = (0, server.login.is_none());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match &*name.to_ascii_lowercase() {
            "authorization" => {
                allowed = server.login.is_none_or(|login| login == value);
                server.tried.lock().unwrap().push(value.to_owned());
            }
            "content-length" => length = value.parse().unwrap(),
            "content-type" => drop(backend.env("CONTENT_TYPE", value)),
            "content-encoding" => drop(backend.env("HTTP_CONTENT_ENCODING", value)),
            "git-protocol" => drop(backend.env("GIT_PROTOCOL", value)),
            _ => {}
        }
    }
    if let Some(port) = server.elsewhere {
        let head = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\nLocation: ";
        return write!(client, "{head}http://localhost:{port}{target}\r\n\r\n");
    }
    if !allowed {
        return client.write_all(
            b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\
              Content-Length: 0\r\nConnection: close\r\n\r\n",
        );
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut child = backend
        .env("CONTENT_LENGTH", length.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child.stdin.take().unwrap().write_all(&body)?;
    let output = child.wait_with_output()?;
    client.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n")?;
    client.write_all(&output.stdout)
}

/// A copy of git's own programs in which the one for the web writes down what it is started with.
fn watched(lab: &Lab) -> PathBuf {
    let output = Command::new("git").arg("--exec-path").output().unwrap();
    let own = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let log = lab.path("started");
    for item in std::fs::read_dir(&own).unwrap() {
        let path = item.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("git-remote-http") {
            let text = format!(
                "echo \"$0 $@\" >> '{}'\nexec '{}' \"$@\"",
                log.display(),
                path.display()
            );
            lab.script(&format!("exec/{name}"), &text);
        } else if path.is_file() {
            let to = lab.path("exec").join(name);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(&path, to).unwrap();
        }
    }
    lab.path("exec")
}

#[test]
fn a_password_reaches_the_server_and_no_list_of_processes() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    upstream.git(&["config", "uploadpack.allowFilter", "true"]);
    let (port, _) = Server::start(&lab, Some(LOGIN), None);
    let programs = watched(&lab);
    let plain = format!("http://127.0.0.1:{port}/upstream");
    let given = plain.replace("//", "//bob:s3c%40ret@");
    let worker = lab.legacy("worker");
    let migrate = |address: &str| {
        let run = worker.xtask(&["--upstream", address, "--commit"]);
        run.env("GIT_EXEC_PATH", &programs)
            .env("GIT_TERMINAL_PROMPT", "0")
            .run()
    };
    // What the user's own helper knows, it keeps; what is typed here is not for it.
    let asked = format!("grep s3c >> '{}'", lab.path("asked").display());
    let helper = lab.script("helper", &asked).display().to_string();
    worker.git(&["config", "--global", "credential.helper", &helper]);
    migrate(&plain).refused_like("could not be fetched");
    migrate(&given.replace("ret", "ond")).refused_like("could not be fetched");
    migrate(&given)
        .done()
        .says(&format!("Upstream {plain} at "))
        .says_not("s3c");
    assert_eq!(
        worker.bytes("engine.py"),
        upstream.bytes(".runpod/engine.py")
    );
    let started = std::fs::read_to_string(lab.path("started")).unwrap();
    assert!(started.contains(&plain), "{started}");
    assert!(
        !started.contains("s3c") && !started.contains("bob"),
        "{started}"
    );
    assert_eq!(std::fs::read_to_string(lab.path("asked")).unwrap(), "");
    assert_eq!(std::fs::read_dir(lab.path("tmp")).unwrap().count(), 0);
}

#[test]
fn a_password_is_for_one_host_and_not_for_where_it_redirects() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    for login in [None, Some(LOGIN)] {
        let (elsewhere, stranger) = Server::start(&lab, login, None);
        let (port, _) = Server::start(&lab, Some(LOGIN), Some(elsewhere));
        let address = format!("http://bob:s3c%40ret@127.0.0.1:{port}/upstream");
        let run = worker
            .xtask(&["--upstream", &address, "--dry-run"])
            .env("GIT_TERMINAL_PROMPT", "0")
            .run();
        match login {
            None => run.done().says("Nothing was changed."),
            Some(_) => run.refused_like("could not be fetched"),
        };
        let tried = stranger.tried.lock().unwrap();
        assert!(tried.is_empty(), "another host was sent {tried:?}");
    }
}
