import pytest
import torch
from helpers_training import SETTINGS

from whatyouread.support.cli import UserError
from whatyouread.training.settings import TrainingSettings, checkpoint_minutes


def test_precision_must_be_known():
    with pytest.raises(UserError, match="fp32, tf32, bf16"):
        TrainingSettings(**SETTINGS | {"precision": "fp16"})


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.delenv("WHATYOUREAD_DEVICE", raising=False)
    two = TrainingSettings(**SETTINGS | {"gpus": 2})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="no GPU can be used, and gpus: 2 asks for 2"):
        two.check_machine()
    monkeypatch.setenv("WHATYOUREAD_DEVICE", "cpu")
    two.check_machine()
    monkeypatch.delenv("WHATYOUREAD_DEVICE")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="gpus is 2, but 1 are visible here: lower it"):
        two.check_machine()


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "ten"])
def test_minutes_must_be_a_number(monkeypatch, text):
    monkeypatch.setenv("CHECKPOINT_MINUTES", text)
    with pytest.raises(UserError, match=r"CHECKPOINT_MINUTES is .* above 0"):
        checkpoint_minutes()
