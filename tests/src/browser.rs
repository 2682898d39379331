//! A real browser for the tests of the status page: Chromium without a window, steered through ChromeDriver (W3C WebDriver).

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lb_lab::{Namespace, NamespaceHandle, Process, connectable, wait_for};
use serde_json::{Value, json};

/// Where ChromeDriver listens; in its own namespace nobody else does.
const DRIVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9515);
/// How long the browser may take for anything: its start on a busy machine takes longest.
const LIMIT: Duration = Duration::from_secs(90);

/// A browser in a namespace, with a profile of its own. Dropped, all its processes go away.
#[derive(Debug)]
pub struct Browser {
    _driver: Process,
    namespace: NamespaceHandle,
    session: String,
}

impl Browser {
    /// Starts one in a namespace; what it keeps is in `dir`.
    pub fn start(namespace: &Namespace, dir: &Path) -> Result<Browser> {
        let profile = dir.join("profile");
        std::fs::create_dir_all(&profile).with_context(|| format!("cannot create {}", profile.display()))?;
        let mut command = namespace.command("chromedriver");
        command.arg(format!("--port={}", DRIVER.port())).env("HOME", dir).env("TMPDIR", dir);
        let driver = Process::spawn(&mut command, &dir.join("chromedriver.log"))?;
        let handle = namespace.handle();
        wait_for("ChromeDriver", LIMIT, || Ok(connectable(&handle, DRIVER).then_some(())))?;
        let mut browser = Browser { _driver: driver, namespace: handle, session: String::new() };
        let options = json!({
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                     "--hide-scrollbars", "--disable-background-networking", format!("--user-data-dir={}", profile.display())]
        });
        let wanted = json!({ "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let answer = browser.request("POST", "/session", &json!({ "capabilities": { "alwaysMatch": wanted } }))?;
        browser.session = answer["sessionId"].as_str().context("ChromeDriver names no session")?.to_string();
        Ok(browser)
    }

    /// Opens a page and waits until it is loaded.
    pub fn open(&self, url: &str) -> Result<()> {
        self.ask("url", &json!({ "url": url })).map(drop)
    }

    /// Runs a script in the page, and returns what it returns.
    pub fn run(&self, script: &str) -> Result<Value> {
        self.ask("execute/sync", &json!({ "script": script, "args": [] })).with_context(|| format!("in `{script}`"))
    }

    /// Waits until a script returns true.
    pub fn wait_until(&self, what: &str, script: &str) -> Result<()> {
        wait_for(what, LIMIT, || Ok((self.run(script)? == Value::Bool(true)).then_some(())))
    }

    /// Asks the DevTools protocol for something.
    pub fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        self.ask("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// Makes the window so large, and the page light or dark.
    pub fn look(&self, width: u32, height: u32, scheme: &str) -> Result<()> {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", size)?;
        let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", feature).map(drop)
    }

    /// Presses a key, by its code point in WebDriver.
    pub fn press(&self, key: char) -> Result<()> {
        let stroke = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        self.ask("actions", &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": stroke }] })).map(drop)
    }

    /// The whole page as a PNG.
    pub fn screenshot(&self) -> Result<Vec<u8>> {
        let answer =
            self.devtools("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true }))?;
        Ok(STANDARD.decode(answer["data"].as_str().context("no picture")?)?)
    }

    /// What the page has complained about since it was last asked.
    pub fn complaints(&self) -> Result<Vec<String>> {
        let entries = self.ask("se/log", &json!({ "type": "browser" }))?;
        let severe = entries.as_array().into_iter().flatten().filter(|entry| entry["level"] == "SEVERE");
        Ok(severe.map(|entry| entry["message"].to_string()).collect())
    }

    fn ask(&self, what: &str, body: &Value) -> Result<Value> {
        self.request("POST", &format!("/session/{}/{what}", self.session), body)
    }

    fn request(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let body = body.to_string();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {DRIVER}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        );
        let answer = self.namespace.run(|| {
            let mut stream = TcpStream::connect(DRIVER)?;
            stream.set_read_timeout(Some(LIMIT))?;
            stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
            read_body(&mut BufReader::new(stream))
        });
        let body = answer.with_context(|| format!("ChromeDriver does not answer {path}"))?;
        let value: Value = serde_json::from_str(&body).with_context(|| format!("no JSON from ChromeDriver: {body}"))?;
        if value["value"]["error"].is_string() {
            bail!("{}", value["value"]["message"]);
        }
        Ok(value["value"].clone())
    }
}

/// The body of an answer. ChromeDriver keeps the connection open after it.
fn read_body(answer: &mut impl BufRead) -> Result<String> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if answer.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    let mut body = String::new();
    answer.take(length).read_to_string(&mut body)?;
    Ok(body)
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Or else Chromium outlives its driver until the namespace goes.
        if let Err(error) = self.request("DELETE", &format!("/session/{}", self.session), &json!({})) {
            eprintln!("the browser did not end by itself: {error:#}");
        }
    }
}
