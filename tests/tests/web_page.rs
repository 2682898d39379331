//! The status page in a real browser, of a pair that runs: live, without JavaScript, light and dark, from phone to wide screen, and by keyboard.
//! Needs root, Chromium and promtool. With `UNDERSTUDY_SCREENSHOTS` set it renews docs/images.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lb_lab::{Connection, Link, Node};
use lb_tests::browser::Browser;
use lb_tests::pair::PairStage;
use serde_json::{Value, json};

const PORT: u16 = 6780;
/// WebDriver's name of the tabulator key.
const TAB: char = '\u{e004}';
/// WebDriver's name of the left arrow key.
const LEFT: char = '\u{e012}';

#[test]
fn the_page_and_the_metrics_of_a_pair() -> Result<()> {
    let stage = PairStage::set(&format!("[http]\nlisten = [\"0.0.0.0:{PORT}\", \"[::]:{PORT}\"]\n"))?;
    for node in 0..2 {
        let text = Connection::open(&stage.network.client.handle(), address(&stage, node))?.get("/metrics")?;
        // The client takes the last line end away, and promtool wants it.
        promtool(&["check", "metrics"], &format!("{text}\n")).with_context(|| text)?;
    }
    promtool(&["check", "rules", rules()], "")?;

    let traffic = stage.traffic()?;
    let dir = stage.network.run.dir().join("browser");
    let browser = Browser::start(&stage.network.client, &dir)?;
    it_is_live(&stage, &browser)?;
    it_works_without_scripts(&stage, &browser)?;
    it_fits_every_screen(&stage, &browser)?;
    it_works_by_keyboard(&browser)?;
    it_shows_a_cut_and_the_end(stage, &browser)?;
    drop(traffic);
    Ok(())
}

fn it_is_live(stage: &PairStage, browser: &Browser) -> Result<()> {
    browser.open(&url(stage, 0))?;
    ensure!(browser.run("return document.title")? == "active · Understudy");
    browser.wait_until("the page to be live", "return document.getElementById('clock').textContent === 'live'")?;
    ensure!(browser.run("return document.querySelectorAll('#reals tr').length")? == 4);
    ensure!(browser.run("return document.querySelectorAll('#paths tr').length")? == 3);
    browser.run("window.sameDocument = true")?;
    stage.nodes[0].lbd.lbctl(&["drain", "real-2"])?;
    let drained = "return [...document.querySelectorAll('#reals tr')].some(row => row.cells[0].textContent === 'real-2' && row.textContent.includes('drained'))";
    browser.wait_until("the page to show the drained real", drained)?;
    ensure!(browser.run("return document.getElementById('picture').textContent.includes('drained')")? == true);
    stage.nodes[0].lbd.lbctl(&["enable", "real-2"])?;
    browser.wait_until("the page to show the enabled real", &drained.replace("return ", "return !"))?;
    browser.wait_until(
        "lines in the plots",
        "return document.querySelector('#plot-path-rtt_seconds path.line').getAttribute('d').includes('L')",
    )?;
    ensure!(browser.run("return window.sameDocument")? == true, "the page was loaded again");
    nothing_is_wrong(browser)
}

fn it_works_without_scripts(stage: &PairStage, browser: &Browser) -> Result<()> {
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true }))?;
    browser.open(&url(stage, 1))?;
    let words = "return document.body.innerText";
    let text = browser.run(words)?.as_str().unwrap_or_default().to_owned();
    for word in
        ["standby", "real-1", "udp eth1", "serial", "as of when the page was loaded", "Shares of new flows", "epoch"]
    {
        ensure!(text.contains(word), "{word} is not on the page: {text}");
    }
    ensure!(browser.run("return document.querySelector('#picture').getBoundingClientRect().height > 200")? == true);
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": false }))?;
    nothing_is_wrong(browser)
}

fn it_fits_every_screen(stage: &PairStage, browser: &Browser) -> Result<()> {
    browser.open(&url(stage, 0))?;
    browser.wait_until("the page to be live", "return document.getElementById('clock').textContent === 'live'")?;
    let mut grounds = Vec::new();
    for (name, width, height, scheme) in [
        ("status-light", 1280, 900, "light"),
        ("status-dark", 1280, 900, "dark"),
        ("status-phone", 360, 740, "light"),
        ("status-wide", 1920, 1080, "light"),
    ] {
        browser.look(width, height, scheme)?;
        let overflow = browser.run("return document.documentElement.scrollWidth - window.innerWidth")?;
        ensure!(overflow.as_i64() <= Some(0), "the page is {overflow} pixels wider than a screen of {width}");
        let letters = browser.run("return document.querySelector('#picture .name').getBoundingClientRect().height")?;
        ensure!(letters.as_f64() >= Some(9.0), "the picture's letters are {letters} pixels high at {width}");
        grounds.push(browser.run("return getComputedStyle(document.body).backgroundColor")?);
        keep(name, &browser.screenshot()?)?;
    }
    ensure!(grounds[0] != grounds[1], "light and dark are the same: {grounds:?}");
    browser.look(1280, 900, "light")?;
    nothing_is_wrong(browser)
}

/// The first tabulator reaches the link over the navigation; every stop says what it is; a plot's values are read by the arrow keys.
fn it_works_by_keyboard(browser: &Browser) -> Result<()> {
    browser.press(TAB)?;
    ensure!(browser.run("return document.activeElement.className")? == "skip");
    let nameless = "return [...document.querySelectorAll('a, [tabindex], meter, svg[role]')].filter(it => \
        !(it.textContent.trim() || it.getAttribute('aria-label'))).map(it => it.outerHTML)";
    ensure!(browser.run(nameless)? == json!([]), "{}", browser.run(nameless)?);
    let untold = "return [...document.querySelectorAll('table')].filter(it => !it.caption || it.querySelector('th:not([scope])')).length";
    ensure!(browser.run(untold)? == 0, "a table without a caption, or a heading without a scope");
    let levels = browser.run("return [...document.querySelectorAll('h1,h2,h3')].map(it => Number(it.tagName[1]))")?;
    let levels: Vec<u64> = levels.as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    ensure!(levels.iter().filter(|level| **level == 1).count() == 1, "{levels:?}");
    ensure!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "a level of headings is left out: {levels:?}");
    browser.run("document.querySelector('figure.plot').focus()")?;
    browser.press(LEFT)?;
    let read = "return document.querySelector('figure.plot .readout').textContent";
    let text = browser.run(read)?;
    ensure!(text.as_str().is_some_and(|text| text.contains("udp-echo")), "the arrow key shows {text}");
    Ok(())
}

fn it_shows_a_cut_and_the_end(mut stage: PairStage, browser: &Browser) -> Result<()> {
    stage.network.unplug(Link::Heartbeat, 0)?;
    let cut = "return document.querySelector('#warnings').textContent.includes('path udp eth1')";
    browser.wait_until("the page to show the cut path", cut)?;
    browser.wait_until(
        "the journal to tell it",
        "return document.querySelector('#journal').textContent.includes('path udp eth1 is down')",
    )?;
    keep("status-path-down", &browser.screenshot()?)?;
    stage.network.plug_in(Link::Heartbeat, 0)?;
    stop(&mut stage.nodes[0])?;
    let lost = "return document.getElementById('clock').matches('.stale[role=status]')";
    browser.wait_until("the page to say that nobody answers", lost)
}

fn stop(node: &mut Node) -> Result<()> {
    node.lbd.stop()
}

fn nothing_is_wrong(browser: &Browser) -> Result<()> {
    let complaints = browser.complaints()?;
    ensure!(complaints.is_empty(), "the browser complains: {complaints:?}");
    Ok(())
}

fn address(stage: &PairStage, node: usize) -> SocketAddr {
    SocketAddr::new(stage.network.plan.lb_addresses(node)[0], PORT)
}

fn url(stage: &PairStage, node: usize) -> String {
    format!("http://{}/", address(stage, node))
}

fn rules() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/prometheus/understudy.rules.yml")
}

fn promtool(arguments: &[&str], input: &str) -> Result<()> {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot run promtool")?;
    child.stdin.take().context("promtool takes no input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    // What it finds wanting in metrics it says with exit code 3.
    ensure!(output.status.success(), "promtool {arguments:?}: {}", String::from_utf8_lossy(&said));
    Ok(())
}

/// A picture has the signature of a PNG and more than one colour; it is kept where that is wanted.
fn keep(name: &str, png: &[u8]) -> Result<()> {
    ensure!(png.starts_with(b"\x89PNG") && png.len() > 10_000, "no picture of the page: {} bytes", png.len());
    if std::env::var_os("UNDERSTUDY_SCREENSHOTS").is_some() {
        let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images");
        fs::create_dir_all(&images)?;
        fs::write(images.join(format!("{name}.png")), png)?;
    }
    Ok(())
}
