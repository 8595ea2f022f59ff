"""The device of a peer: CUDA where torch has it, else the CPU, with what makes its times comparable."""

import torch


def pick(wanted: str = "auto") -> str:
    """`auto` takes CUDA where there is one. f32 is f32: TF32 is off."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted


def wait(device: str) -> None:
    """Until all that was issued is done."""
    if device == "cuda":
        torch.cuda.synchronize()


def where(device: str) -> str:
    """For a peer's name."""
    return torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
