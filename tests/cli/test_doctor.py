"""`syncmv4d doctor` reports what is there and says how to get what is not."""

import json
import subprocess
import sys

from syncmv4d_cli import doctor


def test_the_report_is_the_same_machine_in_json():
    run = subprocess.run(
        [sys.executable, "-m", "syncmv4d_cli.main", "doctor", "--json"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
    findings = {finding["name"]: finding for finding in json.loads(run.stdout)}
    assert findings["H.264 video"]["status"] == "ok"
    assert findings["torch"]["status"] == "ok"
    assert "renders with" in findings["simulator"]["detail"]
    assert all(finding["hint"] for finding in findings.values() if finding["status"] != "ok")
    assert not any("syncmv4d[" in finding["hint"] for finding in findings.values()), (
        "the extras are installed from the folder"
    )


def test_the_table_says_how_to_get_what_is_lacking(capsys):
    doctor.show([doctor.Finding("rerun", "optional", "not installed", "pip install viewer")])
    shown = capsys.readouterr().out
    assert "pip install viewer" in shown
    assert "The base works." in shown


def test_a_broken_base_is_named(capsys):
    doctor.show([doctor.Finding("H.264 video", "missing", "no codec", "pip install av")])
    assert "The base does not work: H.264 video." in capsys.readouterr().out


def test_a_package_that_is_not_there_is_optional_with_a_hint():
    finding = doctor.check_package("no_such_package_of_anyone", "nobody", "pip install nobody", use="nothing at all")
    assert (finding.status, finding.hint) == ("optional", "pip install nobody")
    assert finding.detail == "not installed; only for nothing at all"


def test_a_crash_in_a_probe_is_reported_by_its_last_line():
    assert doctor.run_program("raise RuntimeError('no display')") == "RuntimeError: no display"
    assert doctor.run_program("import os; os._exit(7)") == "ended with code 7"
    assert doctor.run_program("pass") == ""


def test_rendering_reports_every_backend_that_failed(monkeypatch):
    monkeypatch.setattr(doctor, "GL_BACKENDS", ())
    monkeypatch.setenv("MUJOCO_GL", "no_such_backend")
    finding = doctor.check_rendering()
    assert finding.status == "optional"
    assert "no_such_backend" in finding.detail
    assert finding.hint == doctor.GL_PACKAGES
