"""One client, one network, and a broker that only listens."""

from becomingone.sim.clock import VirtualScheduler
from becomingone.sim.network import Network
from becomingone.sim.packets import Publish
from becomingone.sim.plan import Network as Rules


class End:
    def __init__(self, world, name):
        self.came = []
        self.broke = []
        self._world = world
        self._name = name

    def receive(self, packet):
        self.came.append((self._world.now, packet))

    def broken(self, reason):
        self.broke.append((self._world.now, reason))

    @property
    def numbers(self):
        return [int(packet.payload) for _, packet in self.came]


class World:
    """A network, one client and a broker that only listens."""

    def __init__(self, rules=None, seed=1, client="c"):
        self.scheduler = VirtualScheduler()
        self.faults = []
        self.network = Network(
            self.scheduler,
            seed,
            rules=Rules.model_validate(rules or {}),
            note=lambda kind, client, topic="", payload=None, why="": self.faults.append((self.now, why)),
        )
        self.client, self.server = End(self, "client"), End(self, "server")
        self.refusals = []
        self.listening = True
        self.connection = None
        self.name = client

    @property
    def now(self):
        return self.scheduler.monotonic_ns() / 1e9

    def accept(self, connection):
        return self.server if self.listening else None

    def opened(self, connection):
        connection.client = self.client
        self.connection = connection

    def refused(self, reason, line):
        self.refusals.append((self.now, reason))

    def dial(self):
        give_up = self.network.dial(self.name, self, self)
        self.scheduler.run_for(0.01)
        return give_up

    def up(self, number, size=0):
        self.connection.up.send(Publish("t", b"%d" % number + b" " * size, 0))

    def down(self, number):
        self.connection.down.send(Publish("t", b"%d" % number, 0))


def world(up=None, down=None, **options):
    made = World({"paths": [{"up": up or {}, "down": down or {}}], **options.pop("network", {})}, **options)
    made.dial()
    while made.connection is None:
        made.scheduler.run_for(0.01)
    made.scheduler.run_for(0.01)
    return made
