"""What `make dist` makes: each archive holds what it should, and can be installed where there is nothing of ours."""

from __future__ import annotations

import configparser
import hashlib
import io
import os
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from support import tools
from support.installs import Environment, make_dist, project_version
from support.processes import run, scratch_folder
from support.tools import PROJECT

VERSION = project_version()
MIB = 1 << 20
BUILT_WITHIN_S = 1500.0


@pytest.fixture(scope="module")
def dist() -> Path:
    return make_dist()


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (found,) = dist.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def sdist(dist: Path) -> Path:
    return dist / f"pgprism-{VERSION}.tar.gz"


@pytest.fixture(scope="module")
def deb(dist: Path) -> Path:
    (found,) = dist.glob("*.deb")
    return found


def _tool(name: str) -> Path:
    return PROJECT / ".tools/dist/bin" / name


def test_the_sums_are_right_and_name_every_archive(dist: Path) -> None:
    sums = dict(reversed(line.split("  ")) for line in (dist / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == {path.name for path in dist.iterdir() if path.suffix in {".whl", ".gz", ".deb"}}
    assert len(sums) == 4
    for name, sum in sums.items():
        assert hashlib.sha256((dist / name).read_bytes()).hexdigest() == sum


def test_the_wheel_is_for_every_python_3_and_manylinux2014(wheel: Path) -> None:
    assert wheel.name.startswith(f"pgprism-{VERSION}-py3-none-manylinux2014_"), wheel.name
    shown = run([_tool("auditwheel"), "show", wheel]).stdout
    # A platform that is older still would do as well; a newer one would not.
    (tag,) = re.findall(r'following platform tag:\s+"(manylinux_2_(\d+)_\w+)"', shown.replace("\n", " "))
    assert int(tag[1]) <= 17, shown
    # Two packages side by side are what is meant (W009).
    run([_tool("check-wheel-contents"), "--ignore", "W009", wheel])


def test_the_indexes_checks_accept_wheel_and_sdist(wheel: Path, sdist: Path) -> None:
    done = run([_tool("twine"), "check", "--strict", wheel, sdist])
    assert done.stdout.count("PASSED") == 2, done.stdout


def test_the_wheel_holds_the_program_and_the_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    sources = PROJECT / "python/src"
    ours = {str(path.relative_to(sources)) for path in sources.rglob("*") if path.suffix in {".py", ".typed"}}
    information = f"pgprism-{VERSION}.dist-info"
    assert {name for name in names if not name.startswith(f"{information}/")} == {
        *ours, f"pgprism-{VERSION}.data/scripts/pgprism"
    }
    assert {f"{information}/licenses/LICENSE-MIT", f"{information}/licenses/LICENSE-APACHE"} <= set(names)
    assert wheel.stat().st_size < 8 * MIB


def test_the_sdist_holds_what_a_build_needs_and_little_else(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers()}
    needed = {
        "Cargo.toml", "Cargo.lock", "pyproject.toml", "PKG-INFO", "src/main.rs", "ui/index.html", "config/pgprism.toml",
        "python/README.md", "python/src/pgprism/__main__.py", "python/src/django_pgprism/py.typed", "LICENSE-MIT",
        "LICENSE-APACHE",
    }
    assert needed <= names, needed - names
    top = {name.split("/")[0] for name in names if "/" in name}
    assert top == {"src", "ui", "config", "python"}, top
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name], names
    assert sdist.stat().st_size < MIB


def test_pip_builds_the_sdist(sdist: Path) -> None:
    made = Environment.create(sdist.parent)
    # What builds it comes from the index, nothing of the project does; dependencies that cargo has are not built again.
    # HOME is where rustup keeps Rust.
    settings = {"CARGO_TARGET_DIR": str(PROJECT / "target"), "MATURIN_PEP517_ARGS": "--profile dev"}
    settings["HOME"] = str(Path.home())
    pip = [made.folder / "bin/pip", "install", sdist]
    run(pip, env=made.online | settings, cwd=made.folder.parent, deadline_s=BUILT_WITHIN_S)
    assert made.python("-m", "pgprism", "--version") == f"pgprism {VERSION}\n"


def test_the_release_wheel_runs(wheel: Path) -> None:
    made = Environment.create(wheel.parent)
    run([made.folder / "bin/pip", "install", "pgprism"], env=made.variables)
    assert made.python("-m", "pgprism", "--version") == f"pgprism {VERSION}\n"
    sections = run(["readelf", "--section-headers", "--wide", made.folder / "bin/pgprism"]).stdout
    assert ".debug_info" not in sections, "it is stripped"
    # Of the machine that built it the program knows nothing.
    content = (made.folder / "bin/pgprism").read_bytes()
    assert str(PROJECT).encode() not in content
    assert str(Path.home() / ".cargo").encode() not in content


def test_the_archive_holds_a_program_with_its_pages_and_completions(dist: Path) -> None:
    (found,) = dist.glob(f"pgprism-{VERSION}-*-linux-gnu.tar.gz")
    folder = scratch_folder("archive")
    with tarfile.open(found) as archive:
        archive.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    assert run([top / "pgprism", "--version"]).stdout == f"pgprism {VERSION}\n"
    for name in ("man/pgprism-serve.1", "completions/_pgprism", "pgprism.toml", "systemd/pgprism.socket"):
        assert (top / name).is_file(), name
    third_party = (top / "THIRD-PARTY").read_text()
    assert re.search(r"^tokio v\S+ \| MIT$", third_party, re.MULTILINE), third_party[:500]
    assert "| \n" not in third_party, "a crate without a licence"


# What Debian asks of its own packages, and cannot be asked of this one: a bug of Debian's that the upload closes, and
# an address of the maintainers.
_SUPPRESSED = "initial-upload-closes-no-bugs,bogus-mail-host-in-debian-changelog,malformed-contact"


def test_lintian_accepts_the_debian_package(deb: Path) -> None:
    done = run(
        [tools.program("lintian"), "--allow-root", "--fail-on", "error,warning", "--suppress-tags", _SUPPRESSED, deb],
        check=False, deadline_s=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_debian_package_has_the_program_of_the_wheel(deb: Path, wheel: Path) -> None:
    fields = dict(
        line.split(": ", 1) for line in run(["dpkg-deb", "--field", deb]).stdout.splitlines() if re.match(r"\w+", line)
    )
    assert fields["Package"] == "pgprism"
    assert fields["Version"] == f"{VERSION}-1"
    # What auditwheel reads in the wheel's program.
    assert fields["Depends"] == "libc6 (>= 2.17)"
    with zipfile.ZipFile(wheel) as archive:
        program = archive.read(f"pgprism-{VERSION}.data/scripts/pgprism")
    with tarfile.open(fileobj=io.BytesIO(_data_of(deb))) as data:
        packaged = data.extractfile("./usr/bin/pgprism")
        assert packaged is not None and packaged.read() == program


def _data_of(deb: Path) -> bytes:
    """The package's files, as a tar archive."""
    return subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE, timeout=60, check=True).stdout


@pytest.fixture
def root() -> Path:
    """A folder that dpkg takes for a machine on which nothing is installed."""
    folder = scratch_folder("root")
    database = folder / "var/lib/dpkg"
    for name in ("info", "updates", "triggers"):
        (database / name).mkdir(parents=True)
    for name in ("status", "available"):
        (database / name).touch()
    return folder


def _dpkg(root: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run(
        ["dpkg", f"--root={root}", "--force-script-chrootless", "--force-depends", "--force-not-root", *arguments],
        # dpkg refuses to work where it finds no ldconfig.
        env=os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "DEBIAN_FRONTEND": "noninteractive"},
    )


def _files(root: Path) -> set[str]:
    """What is there, dpkg's own notes left out."""
    found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_symlink() or path.is_file()}
    return {name for name in found if not name.startswith("var/lib/dpkg/")}


def test_the_debian_package_is_installed_configured_and_purged(deb: Path, root: Path) -> None:
    _dpkg(root, "--install", deb)
    files = _files(root)
    assert run([root / "usr/bin/pgprism", "--version"]).stdout == f"pgprism {VERSION}\n"
    assert {
        "etc/pgprism/pgprism.toml",
        "usr/share/man/man1/pgprism-serve.1.gz",
        "usr/share/bash-completion/completions/pgprism",
        "usr/share/zsh/vendor-completions/_pgprism",
        "usr/share/fish/vendor_completions.d/pgprism.fish",
        "usr/share/doc/pgprism/README.Debian",
        "usr/share/doc/pgprism/copyright",
    } <= files, sorted(files)
    assert run([root / "usr/bin/pgprism", "check-config", root / "etc/pgprism/pgprism.toml"]).returncode == 0
    assert not [name for name in files if "multi-user.target.wants" in name], "it is not started unasked"

    units = [path for path in root.glob("*/*/systemd/system/pgprism.*")] or [*root.glob("*/systemd/system/pgprism.*")]
    assert {unit.name for unit in units} == {"pgprism.service", "pgprism.socket"}
    unit = configparser.RawConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment]
    (service,) = (one for one in units if one.name == "pgprism.service")
    unit.read_string(service.read_text())
    assert unit["Service"]["ExecStart"].startswith("/usr/bin/pgprism serve --config /etc/pgprism/pgprism.toml")
    # Where the programs and folders are that the unit names: here, below that root.
    copies = scratch_folder("units")
    for one in units:
        (copies / one.name).write_text(one.read_text().replace("/usr/bin/pgprism", str(root / "usr/bin/pgprism")))
    done = run(["systemd-analyze", "verify", *sorted(copies.iterdir())])
    assert "pgprism" not in done.stderr, done.stderr

    # An upgrade restarts the service; its socket stays, with the clients that wait in its queue.
    restarts = re.findall(r"try-restart (.*?) >", (root / "var/lib/dpkg/info/pgprism.postinst").read_text())
    assert restarts == ["pgprism.service"], restarts

    # What the administrator changed stays when the package goes, and goes with a purge.
    settings = root / "etc/pgprism/pgprism.toml"
    settings.write_text(settings.read_text() + "# mine\n")
    _dpkg(root, "--install", deb)
    assert settings.read_text().endswith("# mine\n")
    _dpkg(root, "--remove", "pgprism")
    # Beside it Debian keeps the units masked until then, in files of its own.
    left = {name for name in _files(root) if "systemd" not in name}
    assert left == {"etc/pgprism/pgprism.toml"}, left
    _dpkg(root, "--purge", "pgprism")
    assert _files(root) == set()
    assert not (root / "etc/pgprism").exists()


def _cargo(*arguments: str | Path) -> str:
    shared = os.environ | {"CARGO_TARGET_DIR": str(PROJECT / "target")}
    return run(["cargo", *arguments], cwd=PROJECT, deadline_s=BUILT_WITHIN_S, env=shared).stdout


def test_cargo_installs_it() -> None:
    root = scratch_folder("cargo")
    _cargo("install", "--path", ".", "--locked", "--root", root, "--no-track")
    assert run([root / "bin/pgprism", "--version"]).stdout == f"pgprism {VERSION}\n"


def test_the_crate_holds_what_a_build_needs_and_is_built_from_it() -> None:
    listed = _cargo("package", "--list", "--allow-dirty").splitlines()
    assert {"src/lib.rs", "ui/index.html", "LICENSE-MIT", "README.md", "Cargo.lock"} <= set(listed)
    silly = [name for name in listed if name.split("/")[0] not in {"src", "ui", "config"} and "/" in name]
    assert silly == [] and not [name for name in listed if name.startswith("src/") and "tests" in name]
    # Unpacked elsewhere and built there; dependencies come from the build of the clone.
    _cargo("package", "--allow-dirty", "--locked", "--quiet")


@pytest.mark.smoke
def test_the_crate_names_every_file_that_the_code_includes() -> None:
    """Cheap enough for each run: what `include_str!` and the page's folder name is in the list of files."""
    listed = set(run(["cargo", "package", "--list", "--allow-dirty"], cwd=PROJECT, deadline_s=120).stdout.split())
    named: set[str] = set()
    for source in (PROJECT / "src").rglob("*.rs"):
        relative = str(source.relative_to(PROJECT))
        if relative not in listed:
            continue
        for file in re.findall(r'include_(?:str|bytes)!\(\s*"([^"]+)"', source.read_text()):
            if "tests" not in file:
                named.add(os.path.relpath((source.parent / file).resolve(), PROJECT))
    assert "ui/styles/tokens.css" in named
    assert named <= listed, named - listed
    page = {str(path.relative_to(PROJECT)) for path in (PROJECT / "ui").rglob("*") if path.is_file()}
    assert page <= listed, page - listed
