"""Stands in for micropython-lib's umqtt.simple, which no registry has in a form that pip can install.

The same class, methods and arguments, as far as the examples use them, over MicroPython's own sockets. MQTT 3.1.1.
"""

import socket
import struct


class MQTTClient:
    def __init__(self, client_id, server, port=1883, user=None, password=None, keepalive=0):
        self.client_id, self.address, self.keepalive = client_id, (server, port), keepalive
        self.will, self.callback, self.sock = None, None, None

    def set_callback(self, callback):
        self.callback = callback

    def set_last_will(self, topic, msg, retain=False, qos=0):
        self.will = (topic, msg, retain, qos)

    def connect(self):
        flags, payload = 2, _text(self.client_id)
        if self.will:
            topic, msg, retain, qos = self.will
            flags |= 4 | qos << 3 | retain << 5
            payload += _text(topic) + _text(msg)
        self.sock = socket.socket()
        self.sock.connect(socket.getaddrinfo(*self.address)[0][-1])
        self._send(0x10, _text("MQTT") + bytes([4, flags]) + struct.pack(">H", self.keepalive) + payload)
        kind, body = self._receive()
        assert (kind, body[1]) == (0x20, 0), body

    def disconnect(self):
        self._send(0xE0, b"")
        self.sock.close()

    def publish(self, topic, msg, retain=False, qos=0):
        assert qos == 0
        self._send(0x30 | retain, _text(topic) + msg)

    def subscribe(self, topic, qos=0):
        assert self.callback is not None
        self._send(0x82, b"\0\1" + _text(topic) + bytes([qos]))
        while self.wait_msg() != 0x90:
            pass

    def wait_msg(self):
        self.sock.setblocking(True)
        return self._handle()

    def check_msg(self):
        self.sock.setblocking(False)
        return self._handle()

    def _handle(self):
        found = self._receive()
        if found is None:
            return None
        kind, body = found
        if kind & 0xF0 == 0x30:
            assert kind & 6 == 0  # subscribed with QoS 0
            end = 2 + struct.unpack(">H", body[:2])[0]
            self.callback(body[2:end], body[end:])
        return kind

    def _receive(self):
        first = self.sock.read(1)
        if first is None:  # nothing has come, and the socket does not wait
            return None
        if first == b"":
            raise OSError(-1)
        self.sock.setblocking(True)
        length, shift, byte = 0, 0, 0x80
        while byte & 0x80:
            byte = self.sock.read(1)[0]
            length |= (byte & 0x7F) << shift
            shift += 7
        return first[0], self.sock.read(length) if length else b""

    def _send(self, kind, body):
        length, size = len(body), b""
        while length > 0x7F:
            size += bytes([length & 0x7F | 0x80])
            length >>= 7
        self.sock.write(bytes([kind]) + size + bytes([length]) + body)


def _text(value):
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(raw)) + raw
