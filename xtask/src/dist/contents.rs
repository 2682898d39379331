//! What is in which package.

/// One Debian package.
pub struct Package {
    /// Its name, and that of its directory in `packaging/deb`.
    pub name: &'static str,
    /// Its program.
    pub program: &'static str,
    /// Where the program goes.
    pub program_directory: &'static str,
    /// Its other files: where they are below `packaging`, and the directory they go to.
    pub files: &'static [(&'static str, &'static str)],
}

const UNITS: &str = "lib/systemd/system";
const CONFIGURATION: &str = "etc/understudy";
const EXAMPLES: &str = "usr/share/doc/understudy/examples";

/// All packages.
pub const PACKAGES: [Package; 3] = [
    Package {
        name: "understudy",
        program: "lbd",
        program_directory: "usr/sbin",
        files: &[
            ("systemd/lbd.service", UNITS),
            ("etc/lbd.toml", CONFIGURATION),
            ("prometheus/understudy.rules.yml", EXAMPLES),
            ("grafana/understudy.json", EXAMPLES),
        ],
    },
    Package {
        name: "understudy-agent",
        program: "lb-agent",
        program_directory: "usr/bin",
        files: &[("systemd/lb-agent.service", UNITS), ("etc/agent.toml", CONFIGURATION)],
    },
    Package { name: "understudy-ctl", program: "lbctl", program_directory: "usr/bin", files: &[] },
];
