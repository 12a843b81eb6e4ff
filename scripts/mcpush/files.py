"""Creates, replaces and opens the files of a run.

A new file is complete or absent, and only its owner can read it. Another user who can write to the same folder cannot
redirect a run: no file is created through a link that exists already, and a FIFO or device never blocks.

Separate from lock.py, so that reading a manifest needs only the standard library.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

OWNER_ONLY = 0o600
# Flags that an operating system does not have are 0. A FIFO or device must not block the call that opens it.
ALWAYS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
NO_LINK = getattr(os, "O_NOFOLLOW", 0)
MOUNTS = Path("/proc/self/mountinfo")  # https://docs.kernel.org/filesystems/proc.html#proc-pid-mountinfo


# --- paths ----------------------------------------------------------------------------------------------


def target_of(path: Path) -> Path:
    """The file behind a symbolic link, which need not exist; any other path unchanged. Raises OSError for a loop."""
    with suppress(FileNotFoundError):
        path.stat()  # fails if the kernel would not follow the link, because another user put it into a shared folder
    return path.resolve() if path.is_symlink() else path


def partial_path(path: Path) -> Path:
    """The temporary path, in the same folder, that this process writes to first."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def remove_leftovers(path: Path) -> None:
    """Remove partial files of killed runs. The caller holds a lock, so no other run is writing them."""
    name = re.compile(rf"\.{re.escape(path.name)}\.\d+\.partial")
    for each in path.parent.iterdir():
        if name.fullmatch(each.name):
            each.unlink()


# --- writing --------------------------------------------------------------------------------------------


def open_new(path: Path) -> BinaryIO:
    """Create an empty file and open it for writing. All files of a run are created here.

    Raises FileExistsError if anything has this name, even a link to nothing.
    """
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_LINK | ALWAYS, OWNER_ONLY), "wb")


def sync_to_disk(file: BinaryIO) -> None:
    """Flush the file to disk, so that its content survives a crash."""
    file.flush()
    os.fsync(file.fileno())


def require_replaceable(path: Path) -> Path:
    """The target of the path, if a run can replace it or create it. Creates its folder. Raises OSError with the reason.

    A rename replaces the file. It fails for a mount point, which is how containers mount a single file.
    """
    target = target_of(path)
    with suppress(FileNotFoundError):
        found = path.stat()
        require_own_file(found, target.parent)
        if sys.stdout is not None and _is_stdout(found):
            raise OSError(errno.EBUSY, "it is the file that stdout is redirected to")
        if _is_mount_point(target):
            raise OSError(errno.EBUSY, "it is a mount point, which cannot be replaced. Mount its folder instead")
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target)
    partial = partial_path(target)
    open_new(partial).close()
    partial.unlink()
    return target


def replace_file(path: Path, text: str) -> None:
    """Write the text to a temporary file, sync it to disk, and rename it. Follows a symbolic link.

    Raises OSError and leaves no partial file.
    """
    target = target_of(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target)
    partial = partial_path(target)
    file = open_new(partial)
    try:
        with file:
            file.write(text.encode("utf-8"))
            sync_to_disk(file)
        os.replace(partial, target)  # Windows can rename a file only when it is closed
    finally:
        partial.unlink(missing_ok=True)


def _is_stdout(found: os.stat_result) -> bool:
    with suppress(OSError):  # stdout is closed
        return os.path.samestat(found, os.fstat(1))
    return False


def _is_mount_point(path: Path) -> bool:
    """Whether a file is mounted here. ``os.path.ismount`` does not recognize files, and only Linux can mount them."""
    name = re.sub(r"[ \t\n\\]", lambda found: f"\\{ord(found[0]):03o}", os.path.realpath(path))
    try:
        mounts = os.fsdecode(MOUNTS.read_bytes()).split("\n")
    except OSError:
        return False
    return any(mount.split(" ")[4:5] == [name] for mount in mounts)


# --- opening --------------------------------------------------------------------------------------------


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading. Raises OSError if it is not a regular file: a FIFO would block."""
    return _opened(path, os.O_RDONLY, "rb")


def open_own_file(path: Path, *, to_append: bool = False) -> BinaryIO:
    """Open a file that a run has created. Raises OSError if it is a link, or a file of another user (see below)."""
    if not to_append:
        return _opened(path, os.O_RDONLY | NO_LINK, "rb")
    file = _opened(path, os.O_RDWR | os.O_APPEND | NO_LINK, "r+b")
    if sys.platform != "win32":
        with suppress(PermissionError):  # it belongs to another user
            os.fchmod(file.fileno(), OWNER_ONLY)  # a file of an earlier release
    return file


def _opened(path: Path, flags: int, mode: str) -> BinaryIO:
    try:
        descriptor = os.open(path, flags | ALWAYS)
    except OSError as error:
        if flags & NO_LINK and error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link") from error
        raise
    try:
        found = os.fstat(descriptor)
        if flags & NO_LINK:
            require_own_file(found, path.parent)
            require_one_name(found)
        else:
            _require_regular(found)
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, mode)  # type: ignore[return-value]


def require_own_file(found: os.stat_result, folder: Path) -> None:
    """Raise OSError if it is not a regular file, or if another user created it in a shared folder such as /tmp.

    The rule for the owner is that of Linux's ``fs.protected_regular``. It applies only to folders with the sticky bit:
    in other folders, file systems of containers and networks can report any owner.
    """
    _require_regular(found)
    if sys.platform != "win32" and found.st_uid != os.geteuid() and folder.stat().st_mode & stat.S_ISVTX:
        raise PermissionError(errno.EPERM, "it belongs to another user of a shared folder")


def require_one_name(found: os.stat_result) -> None:
    """Raise OSError if the file has another name: writing would change the file of that name."""
    if found.st_nlink > 1:
        raise OSError(errno.EMLINK, "it is a hard link to another file")


def _require_regular(found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
