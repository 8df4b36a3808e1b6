# SPDX-License-Identifier: Apache-2.0
"""Weft for Python.

    import weft

    def handler(data):
        calls = [weft.chain("square", str(n)) for n in range(int(data))]
        return str(sum(int(r) for r in weft.gather(calls)))

`weft deploy f.py` makes a function of such a file. Its code outside of functions runs once,
before any call; the memory that it leaves is what each call starts from, and no call sees
what another one did. A call is handler(data), with the input as bytes; or, where the file
has that instead, handle_json(value), with the input as JSON.

What it returns is the result: bytes as they are, a str as UTF-8, None as nothing, all else
as JSON. output() appends to the result before that. What is printed goes to standard output,
which whoever calls gets where there is no result. An exception is a traceback in the log and
exit code 1; sys.exit(code) ends the call with that code. Buffers are flushed, but nothing of
atexit is run: the interpreter stops where it is.

Where a call begins, the module random is seeded anew if it has been imported; other
generators are to be made, or seeded, in the handler.
"""

import errno as _errno
import json as _json
import os as _os
import sys as _sys

_DEVICE = "/dev/weft/"
_CHUNK = 1 << 16
_input = None
_result = None
_tag = 0


class WeftError(Exception):
    """A call that did not end well: status is one of exit, trap, limit, cancelled, failed and
    lost; code is the exit code, or a number of errno where it failed."""

    def __init__(self, status, code, message):
        super().__init__(message or f"{status} {code}")
        self.status, self.code, self.message = status, code, message


def _read_all(fd):
    parts = []
    while part := _os.read(fd, _CHUNK):
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _read_file(name):
    fd = _os.open(_DEVICE + name, _os.O_RDONLY)
    try:
        return _read_all(fd)
    finally:
        _os.close(fd)


def _write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[_os.write(fd, view):]


def _bytes(data):
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, (bytes, bytearray, memoryview)):
        return data
    return _json.dumps(data).encode()


# ------------------------------------------------------------------------- this call


def input():
    """What this call was given, as bytes."""
    if _input is None:
        raise RuntimeError("there is no input before a call begins")
    return _input


def output(data):
    """Appends to the result: bytes, a str, or what is JSON."""
    if _result is None:  # a run without a cell
        _sys.stdout.flush()
        _write_all(1, _bytes(data))
    else:
        _write_all(_result, _bytes(data))


def identity():
    """Who this is: a dict with call, function, tenant and version."""
    return _json.loads(_read_file("identity"))


def deadline_left():
    """Seconds until this call is stopped; None: it is not."""
    text = _read_file("deadline")
    return int(text) / 1e9 if text else None


def log(text, level="info"):
    """One line of the log, "info: text"."""
    line = " ".join(str(text).splitlines())
    _sys.stderr.flush()
    _write_all(2, f"{level}: {line}\n".encode())


# ------------------------------------------------------------------------ other calls


def _no_start(name, error):
    messages = {
        _errno.ENOENT: f"there is no function {name}",
        _errno.EINVAL: f"no function can have the name {name!r}",
        _errno.EMFILE: "too many calls at a time: take the results of some, or close them",
        _errno.EAGAIN: "the tenant has too many calls at a time",
        _errno.ELOOP: "calls that started calls that started calls: too deep",
        _errno.E2BIG: "the input is too large",
        _errno.ENOSYS: "here nobody starts calls",
    }
    return WeftError("failed", error.errno, messages.get(error.errno, str(error)))


class Call:
    """A call of another function. It runs from start() on, or from the first result()."""

    def __init__(self, name, data=b"", detached=False):
        self._name, self._data, self._fd = name, _bytes(data), None
        self._kind, self._is_started, self._result = "detached" if detached else "call", False, None

    def _open(self):
        global _tag
        _tag += 1
        self._tag = _tag
        self._fd = _os.open(f"{_DEVICE}{self._kind}:{_tag}/{self._name}", _os.O_RDWR)
        _write_all(self._fd, self._data)
        self._data = None

    def _start(self):
        if self._fd is None:
            self._open()
        if not self._is_started:
            _os.fsync(self._fd)
            self._is_started = True

    def start(self):
        """Lets it run, beside this call and others that are started."""
        if self._result is None:
            try:
                self._start()
            except OSError as error:
                raise _no_start(self._name, error) from None
        return self

    def end(self, timeout=None):
        """How it ended: a dict with status, code and message. Waits at most so many seconds;
        its status is "running" then."""
        self.start()
        wait = "" if timeout is None else f"/{int(timeout * 1e9)}"
        return _json.loads(_read_file(f"end:{self._tag}{wait}"))

    def result(self, timeout=None):
        """What it answers, as bytes: its result, or where there is none what it printed.
        Raises WeftError where it did not end well, TimeoutError where it has not ended."""
        if self._result is not None:
            return self._result
        self.start()
        if timeout is not None and self.end(timeout)["status"] == "running":
            raise TimeoutError(f"{self._name} has not ended after {timeout} s")
        try:
            self._result = _read_all(self._fd) or self.printed()
        except OSError as error:
            end = self.end()
            if error.errno != _errno.EIO or end["status"] == "done":
                raise
            raise WeftError(end["status"], end["code"], end["message"]) from None
        return self._result

    def json(self, timeout=None):
        """The same, as JSON."""
        return _json.loads(self.result(timeout))

    def printed(self):
        """What it wrote to standard output, as bytes. Waits for its end."""
        self.start()
        return _read_file(f"output:{self._tag}")

    def log(self):
        """What it wrote to standard error, as bytes. Waits for its end."""
        self.start()
        return _read_file(f"log:{self._tag}")

    def close(self):
        """Forgets it; one that runs still is cancelled, unless it is detached."""
        if self._fd is not None:
            fd, self._fd, self._is_started = self._fd, None, False
            _os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        try:
            self.close()
        except Exception:
            pass


def chain(name, data=b"", detached=False):
    """A call of the function "name", "name:alias" or "tenant/name", with this input."""
    return Call(name, data, detached)


_FULL = (_errno.EMFILE, _errno.ENFILE, _errno.EAGAIN)


def gather(calls, return_exceptions=False):
    """Their results, in their order. All run at the same time, or as many as may. With
    return_exceptions a WeftError takes the place of its result; without, the first is raised."""
    calls = list(calls)
    results = [None] * len(calls)
    taken = 0

    def take():
        nonlocal taken
        if results[taken] is None:  # else it could not be started
            try:
                results[taken] = calls[taken].result()
            except WeftError as error:
                if not return_exceptions:
                    raise
                results[taken] = error
        calls[taken].close()
        taken += 1

    for place, call in enumerate(calls):
        while call._result is None:
            try:
                call._start()
                break
            except OSError as error:
                if error.errno not in _FULL or taken == place:
                    results[place] = _no_start(call._name, error)
                    if not return_exceptions:
                        raise results[place] from None
                    break
                take()
    while taken < len(calls):
        take()
    return results


# ------------------------------------------------------------- how a function is started


def _read_input():
    """The place where a Proto-Faaslet is made is the first read of descriptor 0."""
    global _input
    data = _os.read(0, _CHUNK)
    if len(data) == _CHUNK:
        data += _read_all(0)
    _input = data
    return data


def _load(source, path):
    import linecache
    import types

    name = path.rpartition("/")[2]
    module = types.ModuleType(name.removesuffix(".py"))
    module.__file__ = path
    _sys.modules[module.__name__] = module
    linecache.cache[path] = (len(source), None, source.splitlines(True), path)
    _sys.path[0] = "/"
    exec(compile(source, path, "exec"), module.__dict__)
    return module


def _handler_of(module):
    handler = getattr(module, "handler", None)
    if callable(handler):
        return handler
    handle_json = getattr(module, "handle_json", None)
    if callable(handle_json):
        return lambda data: _json.dumps(handle_json(_json.loads(data or b"null")))
    _sys.exit(f"{module.__file__} has neither handler(data) nor handle_json(value)")


def _leave(error):
    import traceback

    code = 1
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        if not isinstance(error.code, (int, type(None))):
            print(error.code, file=_sys.stderr)
    elif error is not None:
        frames = error.__traceback__  # those of this file are of no interest
        while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
            frames = frames.tb_next
        traceback.print_exception(type(error), error, frames)
    else:
        code = 0
    try:
        _sys.stdout.flush()
        _sys.stderr.flush()
    finally:
        _os._exit(code & 0xFF)


def _main(source, path):
    global _result
    import gc
    import traceback  # so that it is there when a handler fails

    try:
        _result = _os.open(_DEVICE + "result", _os.O_WRONLY)
    except OSError:
        _result = None
    try:
        handler = _handler_of(_load(source, path))
        gc.collect()
        gc.freeze()
        data = _read_input()
        random = _sys.modules.get("random")
        if random is not None:
            random.seed()
        result = handler(data)
        if result is not None:
            output(result)
    except BaseException as error:
        _leave(error)
    _leave(None)
