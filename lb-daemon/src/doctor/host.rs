//! The kernel, and what it lets `lbd` do.

use lb_core::api::{Finding, Severity};

use super::case::Case;

/// The oldest kernel that the program is made for.
const OLDEST_KERNEL: (u32, u32) = (6, 1);
/// `bpf_jit_enable` where programs are interpreted.
const INTERPRETED: u32 = 0;

/// Kernel, types, compiler, capabilities, BPF file system.
pub(super) fn findings(case: &Case) -> Vec<Finding> {
    let mut findings = vec![kernel(case), btf(case)];
    findings.extend(jit(case));
    // A daemon that runs has what it needs, or has let go of it since.
    if case.running.is_none() {
        findings.push(capabilities(case));
        findings.extend(bpf_file_system(case));
    }
    findings
}

fn kernel(case: &Case) -> Finding {
    let release = &case.facts.kernel.release;
    let (major, minor) = OLDEST_KERNEL;
    match parse(release) {
        Some(version) if version < OLDEST_KERNEL => {
            Finding::of(Severity::Error, "kernel", "the kernel", format!("it is Linux {release}"))
                .because(format!("the XDP program is made for Linux {major}.{minor} and newer"))
                .fix(format!("boot a kernel of version {major}.{minor} or newer"))
        }
        _ => Finding::ok("kernel", "the kernel", format!("Linux {release}")),
    }
}

fn parse(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|other: char| !other.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn btf(case: &Case) -> Finding {
    if case.facts.kernel.btf {
        return Finding::ok("btf", "the kernel's types (BTF)", "they are there");
    }
    Finding::of(Severity::Error, "btf", "the kernel's types (BTF)", "there is no /sys/kernel/btf/vmlinux")
        .because("without them the kernel does not load the XDP program")
        .fix("boot a kernel with CONFIG_DEBUG_INFO_BTF, such as that of a distribution, and mount /sys")
}

/// None where the kernel does not say: in a network namespace of its own it does not.
fn jit(case: &Case) -> Option<Finding> {
    Some(match case.facts.kernel.jit? {
        INTERPRETED => {
            Finding::of(Severity::Warning, "jit", "the compiler for BPF", "it is off: programs are interpreted")
                .because("each packet costs several times as much")
                .fix("sysctl -w net.core.bpf_jit_enable=1")
        }
        _ => Finding::ok("jit", "the compiler for BPF", "it is on"),
    })
}

fn capabilities(case: &Case) -> Finding {
    let missing = &case.facts.kernel.missing_capabilities;
    if missing.is_empty() {
        return Finding::ok("capabilities", "the privileges", "this process has what lbd needs");
    }
    Finding::of(Severity::Error, "capabilities", "the privileges", format!("missing: {}", missing.join(", ")))
        .because("without them the kernel refuses the XDP program, its maps or its interfaces")
        .fix("run it as root, or give it CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON")
}

fn bpf_file_system(case: &Case) -> Option<Finding> {
    let directory = case.config.settings.bpf_dir.display();
    Some(match case.facts.kernel.bpf_file_system? {
        true => Finding::ok("bpf-file-system", format!("bpf_dir {directory}"), "it is on a BPF file system"),
        false => Finding::of(
            Severity::Error,
            "bpf-file-system",
            format!("bpf_dir {directory}"),
            "it is on no BPF file system",
        )
        .because("maps and attachments cannot be kept there, and lbd does not start")
        .fix("mount -t bpf bpf /sys/fs/bpf, and have bpf_dir below it"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases() {
        assert_eq!(parse("6.1.0-32-amd64"), Some((6, 1)));
        assert_eq!(parse("5.10.0"), Some((5, 10)));
        assert_eq!(parse("odd"), None);
    }
}
