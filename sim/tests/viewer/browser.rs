//! A real browser, without a window.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// A page in a folder of its own.
pub(crate) struct Browser {
    program: PathBuf,
    folder: TempDir,
}

/// What a browser made of a page.
pub(crate) struct Page {
    /// The document after its script has run.
    pub(crate) dom: String,
    /// What the page logged, or the browser about it.
    pub(crate) console: Vec<String>,
}

impl Browser {
    /// Writes `html` down for a browser; `None`, and a line that says so, if there is no browser.
    #[expect(clippy::print_stdout, reason = "who has no browser must know what was not tested")]
    pub(crate) fn new(html: &str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path)
            .flat_map(|folder| ["chromium", "chromium-browser"].map(|name| folder.join(name)))
            .find(|program| program.is_file());
        let Some(program) = found else {
            println!("skipped: there is no chromium on the PATH");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder can be made");
        fs::write(folder.path().join("page.html"), html).expect("a page can be written");
        Some(Self { program, folder })
    }

    /// Opens the page at `#fragment`.
    pub(crate) fn open(&self, fragment: &str) -> Page {
        let dom = self.run(&["--dump-dom"], fragment);
        let log = fs::read(self.folder.path().join("stderr")).expect("it was written");
        let log = String::from_utf8_lossy(&log);
        let console = log.lines().filter(|line| line.contains("CONSOLE"));
        Page { dom, console: console.map(str::to_owned).collect() }
    }

    /// Returns a picture of the page, as PNG.
    pub(crate) fn screenshot(&self, fragment: &str, is_dark: bool) -> Vec<u8> {
        let picture = self.folder.path().join("picture.png");
        let scheme = format!("--blink-settings=preferredColorScheme={}", u8::from(!is_dark));
        let to = format!("--screenshot={}", picture.display());
        self.run(&[&to, &scheme, "--window-size=1400,900", "--hide-scrollbars"], fragment);
        fs::read(picture).expect("a picture was taken")
    }

    fn run(&self, arguments: &[&str], fragment: &str) -> String {
        let folder = self.folder.path();
        let file = |name| File::create(folder.join(name)).expect("a file can be made");
        let child = Command::new(&self.program)
            .args(ARGUMENTS)
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .args(arguments)
            .arg(format!("file://{}{fragment}", folder.join("page.html").display()))
            .env("HOME", folder)
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .expect("a browser starts");
        let is_good = wait(child);
        let read = |name: &str| text(&folder.join(name));
        assert!(is_good, "the browser failed: {}", read("stderr"));
        read("stdout")
    }
}

/// Waits for a process, but not forever.
fn wait(mut child: Child) -> bool {
    for _ in 0..POLLS_MAX {
        if let Some(status) = child.try_wait().expect("it is ours") {
            return status.success();
        }
        thread::park_timeout(POLL);
    }
    child.kill().expect("it is ours");
    child.wait().expect("it was killed");
    false
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).expect("it was written")).into_owned()
}

const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    // No name has an address: whatever the page asked for would fail, and be logged.
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr",
    "--v=0",
];

/// Two minutes: other tests run beside.
const POLLS_MAX: usize = 2_400;
const POLL: Duration = Duration::from_millis(50);
