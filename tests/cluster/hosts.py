"""Simulated hosts on this machine, made of namespaces: each has its own network, processes, mounts and host name.

They are connected by a bridge in a namespace of its own, out of reach of the machine's network. Their files are kept in
memory, except SHARED, which all of them see like a network file system.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

SHARED = "/mnt/shared"
_PREFIX = "gckd-host"
_TOOLS = {
    "ip": "iproute2",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "rsync": "rsync",
    "nsenter": "util-linux",
}
# Script of a host's first process. A shell, because the first process has to reap orphans.
_BOOT = """
set -e
mount --make-rprivate /
hostname "$NAME"
mount -t tmpfs tmpfs /mnt
mkdir /mnt/shared /mnt/changes
mount --bind "$SHARED_FOLDER" /mnt/shared
for folder in "$HOME" /tmp; do
    changes="/mnt/changes/$(basename "$folder")"
    mkdir -p "$changes/new" "$changes/work"
    mount -t overlay overlay -o "lowerdir=$folder,upperdir=$changes/new,workdir=$changes/work" "$folder"
done
mount -t proc proc /proc
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mkdir /run/sshd
for folder in "$HOME/.ray" /tmp/ray; do  # empty, even while other tests write to those of this machine
    mkdir -p "$folder"
    mount -t tmpfs tmpfs "$folder"
done
touch "$HOME/.bashrc"
if [[ "$VENV" != "$HOME/venv" ]]; then rm -rf "$HOME/venv"; ln -s "$VENV" "$HOME/venv"; fi
"$SSHD" -f /mnt/shared/sshd_config
echo ready
while :; do sleep 1000 & wait $!; done
"""
# Kernel features that a host needs.
_PROBE = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/new /mnt/work
mount -t overlay overlay -o "lowerdir=/tmp,upperdir=/mnt/new,workdir=/mnt/work" /tmp
mount -t proc proc /proc
hostname probe
ip link add bridge type bridge
ip link add one type veth peer name two
ip link set one master bridge
"""
_SSHD = f"""
HostKey {SHARED}/host_key
AuthorizedKeysFile {SHARED}/key.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
"""


def missing() -> str:
    """Reason why hosts cannot be created on this machine; empty if they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs Linux and root, for namespaces"
    absent = [package for tool, package in _TOOLS.items() if _where(tool) is None]
    if absent:
        return f"needs {', '.join(absent)}"
    spaces = ["--net", "--pid", "--fork", "--mount", "--uts", "--ipc"]
    probe = subprocess.run(["unshare", *spaces, "bash", "-c", _PROBE], capture_output=True, text=True)
    if probe.returncode:
        return f"hosts cannot be created here: {probe.stderr.strip()}"
    return ""


def _where(tool: str) -> str | None:
    return shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@dataclass
class Host:
    name: str  # of its network namespace
    address: str
    process: subprocess.Popen[str]  # outside the namespaces; parent of the host's first process
    first: int  # process id of the first process, outside the namespaces

    def command(self, script: str) -> list[str]:
        """Command that runs a line of bash on the host, in the environment of a logged-in user."""
        spaces = ["--mount", "--uts", "--ipc", "--net", "--pid"]
        return [
            "nsenter",
            "--target",
            str(self.first),
            *spaces,
            "--",
            "bash",
            "-c",
            f"source ~/venv/bin/activate; {script}",
        ]

    def run(self, script: str, timeout: float = 240, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(script), capture_output=True, text=True, timeout=timeout, env=_environment(**environment)
        )

    def start(self, script: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(script),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=_environment(**environment),
        )

    def pull_the_plug(self) -> None:
        """Kill all processes of the host at once."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.first, 9)
        self.process.wait()


def _environment(**more: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return inherited | {"TERM": "dumb", "RAY_USAGE_STATS_ENABLED": "0"} | more


@contextlib.contextmanager
def hosts(addresses: list[str], shared: Path) -> Iterator[list[Host]]:
    """Context with one host per address of a /24 network. At its end, also after an error, all are removed."""
    _sweep()
    mine = f"{_PREFIX}-{os.getpid()}-{secrets.token_hex(2)}"
    switch = f"{mine}-switch"
    _prepare(shared)
    made: list[Host] = []
    try:
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for number, address in enumerate(addresses):
            made.append(_boot(f"{mine}-{number}", address, switch, shared))
        yield made
    finally:
        for host in made:
            host.pull_the_plug()
        _sweep(mine)


def _prepare(shared: Path) -> None:
    for name in ("key", "host_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(shared / name)], check=True)
    (shared / "sshd_config").write_text(_SSHD)


def _boot(name: str, address: str, switch: str, shared: Path) -> Host:
    port = f"port{address.rpartition('.')[2]}"
    _ip("netns", "add", name)
    _ip("-n", switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
    _ip("-n", switch, "link", "set", port, "master", "bridge", "up")
    _ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
    _ip("-n", name, "link", "set", "lo", "up")
    _ip("-n", name, "link", "set", "eth0", "up")
    _ip("-n", name, "route", "add", "default", "dev", "eth0")  # leads nowhere; Ray finds its own address by it
    spaces = ["--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc"]
    process = subprocess.Popen(
        ["ip", "netns", "exec", name, "unshare", *spaces, "bash", "-c", _BOOT],
        env=_environment(NAME=name, SHARED_FOLDER=str(shared), VENV=sys.prefix, SSHD=str(_where("sshd"))),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line == "ready", f"{name} did not start: {line!r}"
    (first,) = psutil.Process(process.pid).children()
    return Host(name, address, process, first.pid)


def left() -> list[str]:
    """Existing network namespaces of hosts, of any test run."""
    listed = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout
    return [line.split()[0] for line in listed.splitlines() if line.startswith(_PREFIX)]


def _sweep(mine: str = "") -> None:
    """Remove the namespaces of this run, or those of killed runs."""
    for name in left():
        owner = int(name.removeprefix(f"{_PREFIX}-").partition("-")[0])
        if name.startswith(mine) if mine else not psutil.pid_exists(owner):
            for pid in subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), 9)
            _ip("netns", "del", name)
