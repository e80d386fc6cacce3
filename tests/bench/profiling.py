"""Where the time of a device goes, in a few words."""

import re

import numpy as np

GROUPS = {
    "attention": r"flash|fmha|attention|mha_",
    "LSTM": r"rnn|lstm",
    "copies": r"memcpy|memset|copy|cat_?array|aten::(cat|to)$",
    "matmul": r"gemm|nvjet|cutlass|cublas|xmma|wgmma|aten::(mm|addmm|bmm|matmul|linear)",
    "elementwise": r"elementwise|vectorized|triton|reduce|norm|softmax|multi_tensor|scan|sort|fused"
    r"|index|scatter|gather|embedding|aten::",
}


def shares(times: dict[str, float]) -> dict[str, float]:
    """Each group's share of the time, the largest first. times: name of a kernel -> its time."""
    sums: dict[str, float] = {}
    for name, used in times.items():
        found = (g for g, pattern in GROUPS.items() if re.search(pattern, name, re.IGNORECASE))
        group = next(found, "other")
        sums[group] = sums.get(group, 0.0) + used
    total = sum(sums.values()) or 1.0
    return {g: v / total for g, v in sorted(sums.items(), key=lambda item: -item[1])}


def idle_share(begins: np.ndarray, ends: np.ndarray) -> float:
    """The share of the time, from the first begin to the last end, in which nothing runs."""
    order = np.argsort(begins)
    begins, ends = begins[order], np.maximum.accumulate(ends[order])
    gaps = (begins[1:] - ends[:-1]).clip(min=0).sum()
    return float(gaps / max(ends[-1] - begins[0], 1e-9))


class Profile:
    """Between `start` and `stop`, what the device does; `text` says it in a few words."""

    def __init__(self, device):
        from torch.profiler import ProfilerActivity, profile

        cuda = device.type == "cuda"
        self.cuda, self.text = cuda, ""
        kind = ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU
        self._profile = profile(activities=[kind])

    def start(self) -> None:
        self._profile.start()

    def stop(self) -> None:
        self._profile.stop()
        try:
            self.text = self._summary()
        except Exception as error:  # the profiler's records differ from version to version
            self.text = f"no profile ({type(error).__name__}: {error})"

    def _summary(self) -> str:
        if not self.cuda:
            made = {e.key: e.self_cpu_time_total for e in self._profile.key_averages()}
            return f"processor time: {_percent(shares(made))}"
        from torch.autograd import DeviceType

        events = [
            event
            for event in self._profile.events()
            if event.device_type == DeviceType.CUDA
            and not getattr(event, "is_user_annotation", False)
        ]
        times: dict[str, float] = {}
        for event in events:
            times[event.name] = times.get(event.name, 0.0) + event.time_range.elapsed_us()
        begins = np.array([event.time_range.start for event in events], float)
        ends = np.array([event.time_range.end for event in events], float)
        return f"device time: {_percent(shares(times))}; idle {idle_share(begins, ends):.0%}"


def _percent(parts: dict[str, float]) -> str:
    return ", ".join(f"{name} {share:.0%}" for name, share in parts.items() if share >= 0.005)
