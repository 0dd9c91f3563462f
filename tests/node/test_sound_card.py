"""What PortAudio is given to play, measured in the file that ALSA writes instead of playing it."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from becomingone.devices._wave import WaveFile

RATE = 48_000
BLOCK = 480


def _has_portaudio() -> bool:
    try:
        return importlib.util.find_spec("sounddevice") is not None and bool(importlib.import_module("sounddevice"))
    except OSError:  # the library that it binds is not there
        return False


pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not _has_portaudio(),
    reason="needs ALSA, sounddevice and PortAudio: pip install sounddevice; apt install libportaudio2",
)


def played(folder: Path, commands: list[list[float]], **options: object) -> np.ndarray:
    """What a speaker has played for the commands, samples of −1..1."""
    config, file = folder / "asound.conf", folder / "played.wav"
    config.write_text(
        f'pcm.null {{ type null }}\npcm.!default {{ type file slave.pcm "null" file "{file}" format "wav" }}\n'
    )
    program = Path(__file__).with_name("play_to_file.py")
    done = subprocess.run(
        [sys.executable, str(program), json.dumps(options), json.dumps(commands)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "ALSA_CONFIG_PATH": str(config)},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"ended": True, "streams": 0, "faults": 0, "problem": None}, done.stderr
    with file.open("r+b") as written:
        written.seek(20)
        written.write(b"\3\0")  # these are floats, which the plugin (alsa-lib 1.2) takes for PCM of 32 bits
    wave = WaveFile(str(file))
    assert wave.rate_hz == RATE
    channels = wave.read(0, wave.length)
    wave.close()
    return channels[0]


def spectrum(sound: np.ndarray) -> tuple[float, float]:
    """Frequency in Hz and amplitude of the strongest line, by FFT with a Hann window and a parabola over the peak."""
    window = np.hanning(len(sound))
    lines = np.abs(np.fft.rfft(sound * window))
    peak = int(np.argmax(lines[1:-1])) + 1
    below, here, above = np.log(lines[peak - 1 : peak + 2])
    shift = 0.5 * (below - above) / (below - 2 * here + above)
    frequency = (peak + shift) * RATE / len(sound)
    turns = np.exp(-2j * np.pi * frequency / RATE * np.arange(len(sound)))
    return float(frequency), float(2 * abs(np.dot(sound * window, turns)) / np.sum(window))


def test_frequency_volume_and_phase_through_portaudio(tmp_path: Path) -> None:
    """The hub's mapping, 440 + 440·(1 + Re)/2 Hz: every tone within 0.1 Hz, none with a click on the way."""
    tones = [(440.0 + 440.0 * (1.0 + re) / 2.0, volume) for re, volume in ((-1, 1), (0.5, 0.25), (1, 0.8), (-0.3, 0.5))]
    seconds = 2
    commands = [[10 + k * seconds * 100, *tone] for k, tone in enumerate(tones)]
    glide_s, gain = 0.05, 0.6
    sound = played(tmp_path, [*commands, [10 + len(tones) * seconds * 100]], gain=gain, glide_s=glide_s)

    heard = np.flatnonzero(sound)
    start = int(heard[0])  # PortAudio begins with some blocks of silence of its own
    for k, (frequency, volume) in enumerate(tones):
        # A card that is not paced tells times that mean nothing, so that a change may be up to 0.25 s late.
        first = start + k * seconds * RATE + RATE * 4 // 10
        found, amplitude = spectrum(sound[first : first + RATE * 3 // 2])
        assert found == pytest.approx(frequency, abs=0.1)
        assert amplitude == pytest.approx(gain * volume, rel=0.01)

    allowed = 2 * np.pi * 880 / RATE * gain + gain / (glide_s * RATE)
    assert np.max(np.abs(np.diff(sound))) <= allowed * (1 + 1e-6)
    assert int(heard[-1]) <= start + len(tones) * seconds * RATE + RATE // 20  # rest: silent after 50 ms
