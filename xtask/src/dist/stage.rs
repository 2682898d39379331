//! One package's files, laid out as they will lie on a host, and made into a package.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::contents::Package;
use super::facts::{Facts, MAINTAINER, needed_libc};

/// Scripts that dpkg runs, where a package has them.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];
/// Where each shell looks for completions: its name, the directory, and what comes before and after the program's name.
const COMPLETIONS: [(&str, &str, &str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions", "", ""),
    ("zsh", "usr/share/zsh/vendor-completions", "_", ""),
    ("fish", "usr/share/fish/vendor_completions.d", "", ".fish"),
];
const MANUAL: &str = "usr/share/man/man8";
/// The pages of files' formats.
const FILE_MANUAL: &str = "usr/share/man/man5";
/// The program whose configuration has a page of its own.
const CONFIGURED: &str = "lbd";
const EXECUTABLE: u32 = 0o755;
const READABLE: u32 = 0o644;

/// The tree of one package.
pub struct Stage<'a> {
    tree: PathBuf,
    packaging: PathBuf,
    package: &'a Package,
    facts: &'a Facts,
    output: &'a Path,
}

impl<'a> Stage<'a> {
    /// Lays out everything, below `output`.
    pub fn make(root: &Path, package: &'a Package, facts: &'a Facts, output: &'a Path) -> Result<Stage<'a>> {
        let tree = output.join("stage").join(package.name);
        if tree.exists() {
            fs::remove_dir_all(&tree).with_context(|| format!("cannot remove {}", tree.display()))?;
        }
        let stage = Stage { tree, packaging: root.join("packaging"), package, facts, output };
        let program = stage.lay_program()?;
        for (file, directory) in package.files {
            let name = Path::new(file).file_name().with_context(|| format!("{file} names no file"))?;
            stage.copy(&stage.packaging.join(file), &Path::new(directory).join(name), READABLE)?;
        }
        stage.lay_manual(&program)?;
        stage.lay_completions(&program)?;
        stage.lay_documents(root)?;
        stage.lay_control(&program)?;
        Ok(stage)
    }

    /// Makes the package and returns where it is.
    pub fn pack(&self, compress: bool) -> Result<PathBuf> {
        let Facts { version, architecture, epoch, .. } = self.facts;
        let file = self.output.join(format!("{}_{version}_{architecture}.deb", self.package.name));
        let mut pack = lb_lab::tool("dpkg-deb");
        pack.env("SOURCE_DATE_EPOCH", epoch).arg("--root-owner-group");
        pack.arg(if compress { "-Zxz" } else { "-Znone" }).arg("--build").arg(&self.tree).arg(&file);
        lb_lab::output(&mut pack)?;
        Ok(file)
    }

    /// Without what only debuggers read. Returns where it lies now.
    fn lay_program(&self) -> Result<PathBuf> {
        let from = self.facts.programs.join(self.package.program);
        let to = Path::new(self.package.program_directory).join(self.package.program);
        self.copy(&from, &to, EXECUTABLE)?;
        let program = self.tree.join(to);
        lb_lab::output(lb_lab::tool("strip").arg("--strip-unneeded").arg(&program))?;
        Ok(program)
    }

    fn lay_manual(&self, program: &Path) -> Result<()> {
        let directory = self.directory(MANUAL)?;
        lb_lab::output(Command::new(program).arg("man").arg(&directory))?;
        for page in files_below(&directory)? {
            gzip(&page)?;
        }
        if self.package.program != CONFIGURED {
            return Ok(());
        }
        let page = Path::new(FILE_MANUAL).join("lbd.toml.5");
        let text = lb_lab::output(Command::new(program).args(["config", "man"]))?;
        self.write(&page, &text, READABLE)?;
        gzip(&self.tree.join(page))
    }

    fn lay_completions(&self, program: &Path) -> Result<()> {
        for (shell, directory, before, after) in COMPLETIONS {
            let text = lb_lab::output(Command::new(program).args(["completions", shell]))?;
            let name = format!("{before}{}{after}", self.package.program);
            self.write(&Path::new(directory).join(name), &text, READABLE)?;
        }
        Ok(())
    }

    fn lay_documents(&self, root: &Path) -> Result<()> {
        let directory = Path::new("usr/share/doc").join(self.package.name);
        self.copy(&self.packaging.join("deb/copyright"), &directory.join("copyright"), READABLE)?;
        self.copy(&root.join("CHANGELOG.md"), &directory.join("changelog"), READABLE)?;
        let Facts { version, date, .. } = self.facts;
        let entry = format!(
            "{} ({version}) stable; urgency=medium\n\n  * See changelog.gz.\n\n -- {MAINTAINER}  {date}\n",
            self.package.name
        );
        self.write(&directory.join("changelog.Debian"), &entry, READABLE)?;
        gzip(&self.tree.join(&directory).join("changelog"))?;
        gzip(&self.tree.join(&directory).join("changelog.Debian"))
    }

    fn lay_control(&self, program: &Path) -> Result<()> {
        let (sums, size) = self.sums()?;
        let ours = self.packaging.join("deb").join(self.package.name);
        let template = read(&ours.join("control"))?;
        let control = template
            .replace("@VERSION@", &self.facts.version)
            .replace("@ARCHITECTURE@", &self.facts.architecture)
            .replace("@MAINTAINER@", MAINTAINER)
            .replace("@LIBC@", &needed_libc(program)?)
            .replace("@SIZE@", &size.div_ceil(1024).to_string());
        self.write(Path::new("DEBIAN/control"), &control, READABLE)?;
        self.write(Path::new("DEBIAN/md5sums"), &sums, READABLE)?;
        if ours.join("conffiles").is_file() {
            self.copy(&ours.join("conffiles"), Path::new("DEBIAN/conffiles"), READABLE)?;
        }
        for script in SCRIPTS.iter().filter(|script| ours.join(script).is_file()) {
            self.copy(&ours.join(script), &Path::new("DEBIAN").join(script), EXECUTABLE)?;
        }
        Ok(())
    }

    /// The checksums of all files, as dpkg wants them, and the bytes of all files.
    fn sums(&self) -> Result<(String, u64)> {
        let mut files = files_below(&self.tree)?;
        files.sort();
        let relative = files.iter().map(|file| file.strip_prefix(&self.tree).unwrap_or(file));
        let sums = lb_lab::output(lb_lab::tool("md5sum").current_dir(&self.tree).args(relative))?;
        let sizes = files.iter().map(|file| fs::metadata(file).map(|metadata| metadata.len()));
        let size = sizes.sum::<std::io::Result<u64>>().context("cannot look at a file of the package")?;
        Ok((sums, size))
    }

    fn directory(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let directory = self.tree.join(path);
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        // The tree's own may be narrower than that of the host that it is unpacked on.
        for above in directory.ancestors().take_while(|above| above.starts_with(&self.tree)) {
            set_mode(above, EXECUTABLE)?;
        }
        Ok(directory)
    }

    fn copy(&self, from: &Path, to: &Path, mode: u32) -> Result<()> {
        let target = self.place(to)?;
        fs::copy(from, &target).with_context(|| format!("cannot copy {} to {}", from.display(), target.display()))?;
        set_mode(&target, mode)
    }

    fn write(&self, to: &Path, text: &str, mode: u32) -> Result<()> {
        let target = self.place(to)?;
        fs::write(&target, text).with_context(|| format!("cannot write {}", target.display()))?;
        set_mode(&target, mode)
    }

    fn place(&self, to: &Path) -> Result<PathBuf> {
        let (Some(directory), Some(name)) = (to.parent(), to.file_name()) else { bail!("{} is no file", to.display()) };
        Ok(self.directory(directory)?.join(name))
    }
}

/// `-n`: neither name nor time goes in, so that the same text makes the same file.
fn gzip(file: &Path) -> Result<()> {
    lb_lab::output(lb_lab::tool("gzip").arg("-9n").arg(file)).map(drop)
}

/// All files below a directory.
fn files_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        let entries = fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("cannot list {}", directory.display()))?.path();
            if path.is_dir() { open.push(path) } else { files.push(path) }
        }
    }
    Ok(files)
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("cannot set the mode of {}", path.display()))
}
