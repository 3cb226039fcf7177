"""What Triton's compiler makes of a kernel, for devices that need not be there."""

import re
import subprocess
from pathlib import Path

import torch


class Compiled:
    """A kernel compiled for compute capability ``arch``: its PTX, registers a thread, and accesses to local memory."""

    INDICES = ("target_rows", "history_rows", "offsets", "bag_index", "sorted_bags", "order", "firsts", "begins")
    COUNTS = ("targets", "bags", "splits", "table_rows", "items", "stride")
    NAMES = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16", torch.int8: "i8"}

    def __init__(self, kernel, options: dict, dtype: torch.dtype, arch: int, folder: Path) -> None:
        import triton
        from triton.backends.compiler import GPUTarget

        launch = {name: value for name, value in options.items() if name not in kernel.arg_names}
        constants = {name: value for name, value in options.items() if name in kernel.arg_names}
        if not constants["SCALED"]:
            constants["scale"] = None
        if not constants.get("COSINES", True):
            constants |= {name: None for name in ("cosines", "begins") if name in kernel.arg_names}
        if not constants.get("SHARED", True):
            constants["bag_index"] = None
        signature, aligned = {}, {}
        for place, name in enumerate(kernel.arg_names):
            if name in constants:
                signature[name] = "constexpr"
                continue
            pointer = "*i64" if name in self.INDICES else "*" + (self.NAMES[dtype] if name == "table" else "fp32")
            signature[name] = "i32" if name in self.COUNTS else pointer
            if name not in self.COUNTS or name == "stride":  # what a launch finds out: multiples of 16
                aligned[(place,)] = [["tt.divisibility", 16]]
        source = triton.compiler.ASTSource(kernel, signature, constants, aligned)
        binary = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=launch)
        self.ptx = binary.asm["ptx"]
        cubin = folder / "kernel.cubin"
        cubin.write_bytes(binary.asm["cubin"])
        tools = triton.knobs.nvidia
        usage = _output(tools.cuobjdump.path, "-res-usage", cubin)
        self.registers = int(re.search(r"REG:(\d+)", usage)[1])
        self.spills = len(re.findall(r"\b(?:LDL|STL)\b", _output(tools.nvdisasm.path, "-c", cubin)))


def _output(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
