"""What was tried is shown at the end, by whichever worker: it is what docs/reliability.md tells."""


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "tried":
                terminalreporter.write_line(value)
