"""The command line of the paper's tables and figures: which data has which of them."""

from click.testing import CliRunner

from benchmarks.paper import command, reproduce
from tests.train.launch import finished, one_line, start


def test_other_data_have_no_searches():
    done = CliRunner().invoke(command.main, ["fig6a", "--data", "microlens"])
    assert done.exit_code == 2 and "--data shop" in done.output


def test_all_of_the_shop_has_it_and_all_of_others_has_not(monkeypatch):
    called: list[str] = []
    monkeypatch.setattr(reproduce, "reproduce6a", lambda **given: called.append("6a"))
    monkeypatch.setattr(reproduce, "reproduce", lambda targets, path, **given: called.append(path))
    for data in ("shop", "microlens"):
        CliRunner().invoke(command.main, ["all", "--data", data], catch_exceptions=False)
    assert called == ["6a", "configs/shop.yaml", "configs/microlens.yaml"]


def test_mistakes_on_the_command_line():
    one_line(
        finished(start("fig3", "--data", "shopp", module="benchmarks.paper")),
        "config 'configs/shopp.yaml' does not exist",
    )
    done = finished(start("fig3", module="benchmarks.paper"))
    assert done.status == 2 and "name the data, either by --data or by --config" in done.err
