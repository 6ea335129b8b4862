"""The tests' own ground: the local clusters and what the helpers say about them."""

import pytest
from confluent_kafka import Consumer, KafkaException
from kafka_local import ClusterError, Record

CREATED_MS = 1_446_143_678_000


def records(count, partition=0, prefix="v"):
    return [
        Record(partition, b"k%d" % i, f"{prefix}{i}".encode(), timestamp_ms=CREATED_MS + i)
        for i in range(count)
    ]


def test_a_record_comes_back_as_it_was_produced(source, topic):
    source.create_topic(topic, partitions=3)
    produced = [
        Record(
            0, b"key", b"value", (("a", b"1"), ("b", None), ("a", b"2"), ("c", b"")), CREATED_MS
        ),
        Record(1, None, b"\x00\xff", (), CREATED_MS + 1),
        Record(1, b"", None, (("only", b"header"),), CREATED_MS + 2),
        Record(1, b"deleted", None, (), CREATED_MS + 3),
    ]
    delivered = source.produce(topic, produced)
    assert [record.offset for record in delivered] == [0, 0, 1, 2]

    read = source.read_all(topic)
    assert read == {0: produced[:1], 1: produced[1:], 2: []}
    assert [record.offset for record in read[1]] == [0, 1, 2]


def test_more_records_than_one_batch_keep_their_order(source, topic):
    source.create_topic(topic)
    produced = records(20_000)
    source.produce(topic, produced)
    assert source.read_all(topic) == {0: produced}


def test_aborted_records_are_read_by_uncommitted_readers_only(source, topic):
    source.create_topic(topic)
    committed = source.produce_transactional(topic, records(3, prefix="committed"))
    aborted = source.produce_aborted(topic, records(2, prefix="aborted"))

    assert source.read_all(topic) == {0: committed}
    assert source.read_all(topic, "read_uncommitted") == {0: committed + aborted}
    assert source.end_offsets(topic) == {0: 3 + 1 + 2 + 1}, "each transaction ends in a marker"


def test_a_partition_that_holds_nothing_but_an_aborted_transaction_reads_as_empty(source, topic):
    source.create_topic(topic)
    source.produce_aborted(topic, records(5))
    assert source.read_all(topic) == {0: []}


def test_an_open_transaction_hides_what_stands_behind_it(source, topic):
    source.create_topic(topic)
    before = source.produce(topic, records(2, prefix="before"))
    transaction = source.begin(topic, records(1, prefix="open"))
    after = source.produce(topic, records(1, prefix="after"))

    assert source.read_all(topic) == {0: before}
    assert source.end_offsets(topic, "read_committed") == {0: 2}
    assert source.end_offsets(topic) == {0: 4}

    transaction.abort()
    assert source.read_all(topic) == {0: before + after}


def test_a_successor_with_the_same_transactional_id_fences_the_owner(source, topic):
    source.create_topic(topic)
    owner = source.begin(topic, records(1, prefix="owner"), topic)
    successor = source.produce_transactional(topic, records(1, prefix="successor"), topic)
    with pytest.raises(KafkaException):
        owner.commit()
    assert source.read_all(topic) == {0: successor}


def test_a_deleted_topic_can_be_made_anew(source, topic):
    source.create_topic(topic, partitions=2, config={"cleanup.policy": "compact"})
    source.produce(topic, records(3))
    source.delete_topic(topic)
    with pytest.raises(LookupError):
        source.read_all(topic)

    source.create_topic(topic, partitions=1)
    assert source.read_all(topic) == {0: []}


def test_topics_are_never_made_by_using_them(source, topic):
    with pytest.raises(LookupError):
        source.produce(topic, records(1))
    assert topic not in source.topics()


def test_a_group_commits_its_offsets(source, topic):
    source.create_topic(topic)
    source.produce(topic, records(3))
    consumer = Consumer(
        {
            "bootstrap.servers": source.bootstrap,
            "group.id": topic,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    try:
        consumer.subscribe([topic])
        assert len(consumer.consume(3, timeout=20)) == 3
        (committed,) = consumer.commit(asynchronous=False)
        assert committed.offset == 3
    finally:
        consumer.close()


@pytest.mark.parametrize("outage", ["restart", "stop", "kill", "pause"])
def test_address_and_data_outlive(source, topic, outage):
    source.create_topic(topic)
    produced = source.produce_transactional(topic, records(10))
    address = source.bootstrap

    getattr(source, outage)()
    source.ensure_running()

    assert source.bootstrap == address
    assert source.read_all(topic) == {0: produced}
    assert source.produce(topic, records(1))[0].offset == 11


def test_a_second_start_changes_nothing(source):
    address = source.bootstrap
    source.start()
    assert source.bootstrap == address


def test_source_and_target_are_different_clusters(source, target, topic):
    source.create_topic(topic)
    assert topic in source.topics()
    assert topic not in target.topics()


def test_data_of_another_kafka_version_is_refused(source, monkeypatch):
    monkeypatch.setattr(source, "version", "3.0.0")
    source.stop()
    with pytest.raises(ClusterError, match="holds data of Kafka"):
        source.start()
