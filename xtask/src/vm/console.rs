//! Reads from the machine's console how the tests went. The lines that begin with [`MARK`] are init.sh's.

/// init.sh's lines begin with it.
const MARK: &str = "vm: ";
/// What a kernel that gives up prints.
const PANIC: &str = "Kernel panic";
/// What libtest ends with.
const RESULT: &str = "test result: ok. ";
/// The kernel's verifier counts its work in the last line that it prints, and aya shows that line when a program is refused.
const REFUSED: &str = "processed ";
/// So much of the console is shown when something is wrong.
const TAIL_LINES: usize = 60;

/// A run in which everything has passed.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// The kernel's release.
    pub kernel: String,
    /// How many tests of each test program have passed.
    pub passed: Vec<(String, u32)>,
}

/// What the tests of these names came to. The error says in a line what is wrong.
pub fn judge(printed: &str, tests: &[&str]) -> Result<Report, String> {
    let lines: Vec<&str> = printed.lines().map(str::trim).collect();
    let kernel = whole(&lines)?;
    let passed =
        tests.iter().map(|test| Ok((test.to_string(), passed(&lines, test)?))).collect::<Result<_, String>>()?;
    ended(&lines)?;
    Ok(Report { kernel, passed })
}

/// What follows `mark` on the lines that something printed which is no test. The error says in a line what is wrong.
pub fn told(printed: &str, name: &str, mark: &str) -> Result<Vec<String>, String> {
    let lines: Vec<&str> = printed.lines().map(str::trim).collect();
    whole(&lines)?;
    let (output, code) = output(&lines, name)?;
    if code != "0" {
        return Err(format!("`{name}` failed (exit code {code})"));
    }
    ended(&lines)?;
    Ok(output.iter().filter_map(|line| line.strip_prefix(mark)).map(ToString::to_string).collect())
}

/// The kernel's release, where it has come up and not given up.
fn whole(lines: &[&str]) -> Result<String, String> {
    if let Some(panic) = lines.iter().find(|line| line.contains(PANIC)) {
        return Err(format!("the kernel gave up: {panic}"));
    }
    word_after(lines, "kernel").ok_or_else(|| "it did not come so far as to run anything".to_string())
}

fn ended(lines: &[&str]) -> Result<(), String> {
    let done = format!("{MARK}done");
    let found = lines.iter().any(|line| *line == done);
    found.then_some(()).ok_or_else(|| "it ended before its first process was done".to_string())
}

/// The console's last lines.
pub fn tail(printed: &str) -> String {
    let lines: Vec<&str> = printed.lines().map(str::trim_end).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// What one of those that init runs has printed, and its exit code.
fn output<'a, 'b>(lines: &'b [&'a str], test: &str) -> Result<(&'b [&'a str], String), String> {
    let begin = lines.iter().position(|line| *line == format!("{MARK}begin {test}"));
    let begin = begin.ok_or_else(|| format!("the tests `{test}` were not begun"))?;
    let end = format!("end {test}");
    let code = word_after(&lines[begin..], &end).ok_or_else(|| format!("the tests `{test}` have not ended"))?;
    let output = lines[begin..].split(|line| line.starts_with(&format!("{MARK}{end}"))).next().unwrap_or_default();
    Ok((output, code))
}

/// How many tests of a test program have passed; the error says why it has not.
fn passed(lines: &[&str], test: &str) -> Result<u32, String> {
    let (output, code) = output(lines, test)?;
    if code != "0" {
        let refused = output.iter().any(|line| line.contains(REFUSED) && line.contains(" insns "));
        let why = if refused { ", as the kernel's verifier refused the XDP program" } else { "" };
        return Err(format!("the tests `{test}` failed (exit code {code}){why}"));
    }
    let count = output.iter().find_map(|line| line.strip_prefix(RESULT)?.split(' ').next()?.parse().ok());
    count.filter(|count| *count > 0).ok_or_else(|| format!("the tests `{test}` ended well without a test that passed"))
}

/// The word that follows these on one of init.sh's lines.
fn word_after(lines: &[&str], words: &str) -> Option<String> {
    let rest = lines.iter().find_map(|line| line.strip_prefix(MARK)?.strip_prefix(words)?.strip_prefix(' '))?;
    rest.split(' ').next().map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[    0.0] booting\r\nvm: kernel 6.1.0-56-cloud-amd64\r\nvm: begin golden\r\nrunning 2 tests\r\n\
        test result: ok. 2 passed; 0 failed; 0 ignored\r\n\r\nvm: end golden 0\r\nvm: begin random\r\n\
        test result: ok. 1 passed; 0 failed; 0 ignored\r\n\r\nvm: end random 0\r\nvm: done\r\n";

    fn wrong(printed: &str) -> String {
        judge(printed, &["golden", "random"]).unwrap_err()
    }

    #[test]
    fn a_good_run_is_told_with_its_kernel_and_its_tests() {
        let report = judge(GOOD, &["golden", "random"]).unwrap();
        let passed = vec![("golden".to_string(), 2), ("random".to_string(), 1)];
        assert_eq!(report, Report { kernel: "6.1.0-56-cloud-amd64".to_string(), passed });
    }

    #[test]
    fn a_test_that_failed_is_named_with_its_exit_code() {
        assert_eq!(wrong(&GOOD.replace("end random 0", "end random 101")), "the tests `random` failed (exit code 101)");
        // 0 must be all of the code.
        assert!(wrong(&GOOD.replace("end random 0", "end random 07")).contains("exit code 07"));
    }

    #[test]
    fn a_refusal_of_the_verifier_is_said_to_be_one_of_the_test_that_met_it() {
        let refused = "invalid access to packet\r\nprocessed 812 insns (limit 1000000) max_states_per_insn 4\r\nvm: end random 101";
        let printed = GOOD.replace("vm: end random 0", refused);
        assert_eq!(
            wrong(&printed),
            "the tests `random` failed (exit code 101), as the kernel's verifier refused the XDP program"
        );
        assert!(!wrong(&printed.replace("end golden 0", "end golden 101")).contains("verifier"));
    }

    #[test]
    fn a_panic_is_told_whatever_else_was_printed() {
        let panic = format!("{GOOD}[   12.3] Kernel panic - not syncing: Fatal exception\r\n");
        assert_eq!(wrong(&panic), "the kernel gave up: [   12.3] Kernel panic - not syncing: Fatal exception");
    }

    #[test]
    fn a_console_that_ends_early_is_no_success() {
        assert_eq!(wrong(""), "it did not come so far as to run anything");
        assert_eq!(wrong(&GOOD[..GOOD.find("vm: begin random").unwrap()]), "the tests `random` were not begun");
        assert_eq!(wrong(&GOOD[..GOOD.find("vm: end random").unwrap()]), "the tests `random` have not ended");
        assert_eq!(wrong(&GOOD.replace("vm: done", "")), "it ended before its first process was done");
    }

    #[test]
    fn a_program_that_ran_no_test_has_not_passed() {
        let nothing = GOOD.replace("ok. 1 passed", "ok. 0 passed");
        assert_eq!(wrong(&nothing), "the tests `random` ended well without a test that passed");
    }

    #[test]
    fn what_was_told_is_what_follows_the_mark_of_one_alone() {
        let printed = GOOD.replace("running 2 tests", "record: {1}\r\nnoise\r\nrecord: {2}");
        assert_eq!(told(&printed, "golden", "record: ").unwrap(), ["{1}", "{2}"]);
        assert_eq!(told(&printed, "random", "record: ").unwrap(), Vec::<String>::new());
        let failed = printed.replace("end golden 0", "end golden 1");
        assert_eq!(told(&failed, "golden", "record: ").unwrap_err(), "`golden` failed (exit code 1)");
        assert!(told(&printed.replace("vm: done", ""), "golden", "record: ").is_err());
    }

    #[test]
    fn the_tail_has_the_last_lines() {
        let text: String = (0..200).map(|n| format!("line {n}\r\n")).collect();
        let tail = tail(&text);
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(tail.starts_with("line 140\n") && tail.ends_with("line 199"));
    }
}
