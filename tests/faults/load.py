"""A seeded load that goes on while clusters come and go.

Two threads write to the source: one plain records, one transactions, every third of which
is aborted. Every record has an id in its key, "<partition>:<number>", that no other record
of its topic has. What the source's log holds is the truth; the load itself only remembers
what it knows to be aborted. It never gives up: a producer that fails is made anew.
"""

import random
import threading
from collections import defaultdict
from itertools import count

from confluent_kafka import KafkaException, Producer
from kafka_local import ANSWER_LIMIT_S, wait_for

TICK_S = 0.02
IN_FLIGHT_MAX = 2000  # of a producer whose cluster does not answer
BASE_MS = 1_700_000_000_000


class Source:
    """The records of one topic, as the seed wants them."""

    def __init__(self, topic, partitions, seed):
        self.topic = topic
        self.partitions = partitions
        self._random = random.Random(f"{seed} {topic}")
        self._numbers = [0] * partitions
        self._noise = self._random.randbytes(4096)

    def next(self):
        """Keyword arguments for produce()"""
        draw = self._random.random
        partition = int(draw() * self.partitions)
        number = self._numbers[partition]
        self._numbers[partition] += 1
        size = int(draw() ** 4 * 2000)  # most are small, some above what is sent uncopied
        start = int(draw() * 2000)
        return {
            "topic": self.topic,
            "partition": partition,
            "key": b"%d:%d" % (partition, number),
            "value": None if draw() < 0.01 else self._noise[start : start + size],
            "headers": self._headers(number) if draw() < 0.2 else [],
            "timestamp": BASE_MS + number,
        }

    @staticmethod
    def _headers(number):
        return [("a", b"%d" % number), ("b", None), ("a", b"")]


class Load:
    """`rate` records/s to each topic; {topic: partitions}"""

    def __init__(self, cluster, plain, transactional, seed, rate=300):
        self._cluster = cluster
        self._seed = seed
        self._each = max(1, int(rate * TICK_S))
        self._plain = [Source(topic, n, seed) for topic, n in plain.items()]
        self._transactional = [Source(topic, n, seed) for topic, n in transactional.items()]
        self._bootstrap = cluster.bootstrap
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run_plain, daemon=True),
            threading.Thread(target=self._run_transactions, daemon=True),
        ]
        self.error = None
        self.aborted = defaultdict(set)  # topic -> keys that nobody may ever see
        self.produced = 0

    def start(self):
        for thread in self._threads:
            thread.start()

    def stop(self):
        """Returns when all is delivered and decided."""
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * ANSWER_LIMIT_S)
            assert not thread.is_alive(), "the load does not end"
        if self.error:
            raise self.error

    def wait_produced(self, more, limit_s=60):
        goal = self.produced + more

        def reached():
            if self.error:
                raise self.error
            return self.produced >= goal

        wait_for(reached, limit_s, f"{more} more records produced")

    def _run_plain(self):
        try:
            producer = self._producer({"message.timeout.ms": 300_000})
            while not self._stop.wait(TICK_S):
                for source in self._plain:
                    if len(producer) < IN_FLIGHT_MAX:
                        self._produce(producer, source)
                producer.poll(0)
            if producer.flush(ANSWER_LIMIT_S):
                raise TimeoutError("the load's last records were not delivered")
        except Exception as error:  # raised again by whoever waits
            self.error = error

    def _produce(self, producer, source):
        for _ in range(self._each):
            producer.produce(**source.next())
        self.produced += self._each

    # ---- transactions ----

    def _run_transactions(self):
        try:
            producer = None
            for number in count():
                if self._stop.wait(5 * TICK_S):
                    break
                producer = producer or self._open_transactional()
                if producer and not self._transaction(producer, number % 3 == 2):
                    producer = None
        except Exception as error:  # raised again by whoever waits
            self.error = error

    def _open_transactional(self):
        producer = self._producer(
            {"transactional.id": f"load-{self._seed}", "transaction.timeout.ms": 60_000}
        )
        try:
            producer.init_transactions(5)
        except KafkaException:
            return None
        return producer

    def _transaction(self, producer, abort):
        """False when the producer is of no use any more; how it ended is then unknown."""
        keys = []
        try:
            producer.begin_transaction()
            for source in self._transactional:
                for _ in range(5 * self._each):
                    record = source.next()
                    keys.append((record["topic"], record["key"]))
                    producer.produce(**record)
            producer.flush(ANSWER_LIMIT_S)
            if abort:
                producer.abort_transaction(ANSWER_LIMIT_S)
            else:
                producer.commit_transaction(ANSWER_LIMIT_S)
        except KafkaException:
            return False
        for topic, key in keys if abort else ():
            self.aborted[topic].add(key)
        self.produced += len(keys)
        return True

    def _producer(self, properties):
        return Producer(
            {
                "bootstrap.servers": self._bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "log_level": 0,
                "reconnect.backoff.max.ms": 500,
                **properties,
            }
        )
