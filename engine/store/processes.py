"""Is the process that wrote this still there? Process ids are used again, in a container even at once."""


def is_alive(pid: int, *, not_after: float) -> bool:
    """Whether the process `pid` lives and began before `not_after` (seconds since the epoch, 1 s of grace)."""
    import psutil

    try:
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= not_after + 1)
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False
    except psutil.AccessDenied:
        return True


def started_at(pid: int) -> float:
    """When a living process began, seconds since the epoch."""
    import psutil

    return float(psutil.Process(pid).create_time())
