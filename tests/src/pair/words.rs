//! What a node says of what is wrong: a line in its log, and a warning in `lbctl status`.

use std::process::ExitStatus;

use anyhow::{Context, Result, ensure};
use lb_lab::{Node, wait_for};

use super::{LIMIT, PairStage};

impl PairStage {
    /// Waits until a node warns of a subject with these words in `lbctl status`, and has said them in its log, in one line.
    pub fn wait_to_be_told(&self, node: usize, subject: &str, words: &str) -> Result<()> {
        self.wait_for_warning(node, subject, words)?;
        self.wait_for_line(node, &[&format!(" {subject}: "), words])
    }

    /// Waits until `lbctl status` of a node warns of a subject with these words.
    pub fn wait_for_warning(&self, node: usize, subject: &str, words: &str) -> Result<()> {
        let it = &self.nodes[node];
        it.wait_for(&format!("{} to warn of {subject}: {words}", it.name()), |it| {
            Ok(warnings(it)?.iter().any(|(about, message)| about == subject && message.contains(words)))
        })
    }

    /// Waits until `lbctl status` of a node warns of this subject no more.
    pub fn wait_for_no_warning(&self, node: usize, subject: &str) -> Result<()> {
        let it = &self.nodes[node];
        it.wait_for(&format!("{} to warn of {subject} no more", it.name()), |it| {
            Ok(warnings(it)?.iter().all(|(about, _)| about != subject))
        })
    }

    /// Waits until a node has a line with all these words in its log. There may be no second one.
    pub fn wait_for_line(&self, node: usize, words: &[&str]) -> Result<()> {
        let it = &self.nodes[node];
        let lines = || -> Vec<String> {
            let log = it.lbd.log();
            let has_all = |line: &&str| words.iter().all(|word| line.contains(word));
            log.lines().filter(has_all).map(str::to_string).collect()
        };
        it.wait_for(&format!("{} to say {words:?}", it.name()), |_| Ok(!lines().is_empty()))?;
        ensure!(lines().len() == 1, "{} has said it more than once: {:#?}", it.name(), lines());
        Ok(())
    }

    /// Has a node's daemon started, which has to end by itself and with a failure. Returns what it has said.
    pub fn refused_start(&mut self, node: usize) -> Result<String> {
        let lbd = &mut self.nodes[node].lbd;
        let before = lbd.log().len();
        lbd.start_again()?;
        let status: ExitStatus = lbd.running()?.wait(LIMIT)?;
        let said = lbd.log()[before..].to_string();
        ensure!(status.code() == Some(1), "lbd ended with {status}; it said: {said}");
        Ok(said)
    }

    /// Waits until a node holds no VIP. The one that serves has them all.
    pub fn wait_for_no_vip(&self, node: usize) -> Result<()> {
        wait_for(&format!("lb-{} to hold no VIP", node + 1), LIMIT, || {
            let held = self.network.lbs[node].ip("-o address show")?;
            let holds = self.network.plan.vips().any(|vip| held.contains(&format!(" {vip}/")));
            Ok((!holds).then_some(()))
        })
    }
}

/// What `lbctl status` warns of: subjects and messages.
fn warnings(node: &Node) -> Result<Vec<(String, String)>> {
    let status = node.lbd.lbctl_json(&["status"])?;
    let warnings = status["warnings"].as_array().context("`lbctl status` has no warnings")?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_string();
    Ok(warnings.iter().map(|warning| (text(&warning["subject"]), text(&warning["message"]))).collect())
}
