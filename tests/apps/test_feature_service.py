"""The whole way of an ApiReader: upload, query, download."""
from tests.support.api_reader import ApiReader


def test_features_of_the_ids_come_back(api_reader: ApiReader) -> None:
    assert api_reader.features(["u1", "u2", "u10", "stranger"], month="202201") == [
        "id,amount,age,vip", "u1,0.125,1,0", "u10,1.25,,1", "u2,0.25,2,1"]


def test_the_counts_say_how_many_were_found(api_reader: ApiReader) -> None:
    data = api_reader.status(api_reader.job(["u1", "u2", "u2", "stranger"]))
    assert (data["status"], data["ids"], data["matched"], data["missing"]) == ("success", 3, 2, 1)


def test_features_can_be_narrowed_and_reordered(api_reader: ApiReader) -> None:
    assert api_reader.features(["u3"], features=["vip", "amount"]) == ["id,vip,amount", "u3,0,0.375"]


def test_a_header_line_names_the_first_column(api_reader: ApiReader) -> None:
    assert api_reader.features(b"sid\nu3\n", features=["age"]) == ["sid,age", "u3,3"]
