"""All faults, in the order of the table."""

from __future__ import annotations

from . import (
    broker_kills,
    card,
    clock_step,
    disks,
    end_to_end,
    end_to_end_simulated,
    hub_kills,
    garbage,
    kills_simulated,
    memory,
    motor,
    node_kills,
    partition,
    sensors,
)
from .outcome import Case

CASES = (
    Case("broker-kills", "the broker is killed (SIGKILL) and started again under load", broker_kills.run),
    Case("partition", "the network to the node is cut for 30 s", partition.clean),
    Case("bad-partition", "the same on a line that loses 30 % of the packets and delays the rest", partition.bad),
    Case("partition-simulated", "the network to the node is cut for 30 s", kills_simulated.partition),
    Case("disk-full", "the disk is full: while it runs, and when it starts", disks.full),
    Case("disk-fails", "the disk fails and may only be read, while it runs", disks.read_only),
    Case("state-read-only", "the state folder may only be read when it starts", disks.read_only_start),
    Case("clock-step", "the system clock is set by an hour, forwards and back", clock_step.run),
    Case("sensor-blocks", "a sensor blocks for ever", sensors.blocks),
    Case("sensor-raises", "a sensor that is read at 1 kHz raises", sensors.raises),
    Case("garbage", "10 GB of garbage commands in the node's own process", garbage.handlers),
    Case("garbage-broker", "200 MB of garbage commands over Mosquitto, honest ones in between", garbage.broker),
    Case("spool-kills", "a process that writes the spool is killed (SIGKILL)", node_kills.spool),
    Case("sender-kills", "a process that keeps and sends is killed, and the broker now and then", node_kills.delivery),
    Case("node-kills", "the node is killed (SIGKILL) and started again, over a real hub", node_kills.whole),
    Case("hub-kills", "the hub is killed (SIGKILL) and started again under load", hub_kills.run),
    Case("end-to-end", "nodes, hub and broker are killed (SIGKILL) at random", end_to_end.run),
    Case("kills-simulated", "node, hub and broker are killed at random, on a bad network", kills_simulated.run),
    Case(
        "end-to-end-simulated",
        "eight nodes, hub and broker are killed at random, on a bad network",
        end_to_end_simulated.run,
    ),
    Case("power-cut", "the power goes, or the process dies, at every byte of what is written", card.power_cut),
    Case("card-wear", "kept frames are written to a card", card.wear),
    Case("memory", "a month of life, with restarts of hub and broker", memory.run),
    Case("motor-simulated", "whatever drives a motor fails", motor.virtual),
    Case("motor", "whatever drives a motor fails", motor.real),
)
