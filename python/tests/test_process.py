"""Threads, signals and forks."""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import vultus


def run(code, **options):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120, **options
    )


def test_other_threads_run_meanwhile(rng):
    """A call that kept the interpreter's lock would let the other thread count nothing until it ends."""
    X = rng.standard_normal((4000, 64)).astype(np.float32)
    counted, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            counted[0] += 1

    other = threading.Thread(target=count)
    seen = []
    other.start()
    try:
        for _ in range(200):
            before = counted[0]
            vultus.pairs_above(X, threshold=0.9, threads=1)
            seen.append(counted[0] - before)
            if max(seen) > 100:
                break
    finally:
        stop.set()
        other.join()
    assert max(seen) > 100


def test_many_threads_at_once_get_their_own_answers(rng):
    X = rng.standard_normal((2000, 32)).astype(np.float32)
    expected = vultus.exact_search(X, X[:200], 3)[1]
    wrong = []

    def ask(number):
        probes = slice(number, number + 60)
        for _ in range(5):
            found = vultus.exact_search(X, X[probes], 3, threads=1 + number % 3)[1]
            if not (found == expected[probes]).all():
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert wrong == []


@pytest.mark.parametrize("call", ("vultus.exact_search(X, X, 5)", "vultus.pairs_above(X, threshold=0.9)"))
def test_ctrl_c_ends_a_long_call(call):
    """The call would take many minutes. It sends itself the signal once it has begun."""
    done = run(
        f"""
        import os, signal
        import numpy as np, vultus
        # Some shells start programs with the signal ignored, which Python keeps.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        X = np.random.default_rng(1).standard_normal((400_000, 256), dtype=np.float32)
        begun = []
        def progress(done, total):
            begun.append(done)
            if len(begun) == 3:
                os.kill(os.getpid(), signal.SIGINT)
        try:
            {call[:-1]}, progress=progress)
            print("all of it")
        except KeyboardInterrupt:
            print("stopped", begun[2] > 0)
        """
    )
    assert done.stdout == "stopped True\n", done


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_searches_with_threads_of_its_own(rng):
    X = rng.standard_normal((3000, 32)).astype(np.float32)
    expected = vultus.exact_search(X, X[:50], 3, threads=2)[1]
    child = os.fork()
    if not child:
        # A child that waits for threads which it has not is ended by the alarm.
        signal.alarm(60)
        same = (vultus.exact_search(X, X[:50], 3, threads=2)[1] == expected).all()
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (vultus.exact_search(X, X[:50], 3, threads=2)[1] == expected).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("change", [lambda g, X: g.add(X), lambda g, X: g.remove(1)])
def test_a_fork_does_not_wait_for_a_change_of_its_parent(rng, change):
    """The thread that changes the gallery is not in the child, and would never end there."""
    X = rng.standard_normal((10, 32)).astype(np.float32)
    with vultus.Gallery() as gallery:
        gallery.add(X)
        inside, over = threading.Event(), threading.Event()

        def hold():
            with gallery._changing:
                inside.set()
                over.wait(60)

        changing = threading.Thread(target=hold)
        changing.start()
        assert inside.wait(60)
        child = os.fork()
        if not child:
            signal.alarm(30)
            try:
                change(gallery, X)
            except vultus.ForkedError:
                os._exit(0)
            os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        over.set()
        changing.join()
        assert code == 0
        assert len(gallery) == 10
