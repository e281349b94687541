from src.utils import event


def test_done_is_passed_on():
    assert event("data: [DONE]") == "data: [DONE]\n\n"


def test_json_is_kept():
    assert event('data: {"a": 1}') == 'data: {"a": 1}\n\n'
