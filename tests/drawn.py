"""What a figure shows, read back from it, and what some of them should show."""

import numpy as np

UNITS = ("stream", "initialisation")


def titles(figure):
    """Titles of the panels."""
    return [panel.get_title(loc="left") for panel in figure.axes]


def entries(figure):
    """Texts of the legend."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


def lines(panel, label):
    """All lines of that label."""
    return [line for line in panel.get_lines() if line.get_label() == str(label)]


def line(panel, label):
    """The one line of that label."""
    (found,) = lines(panel, label)
    return found


def container(panel, label):
    """The one set of error bars of that label."""
    (found,) = [drawn for drawn in panel.containers if drawn.get_label() == label]
    return found


def marks(panel, label):
    """The marks of the one set of error bars of that label."""
    return container(panel, label).lines[0]


def points(panel):
    """Marks of the error bars of a panel: x and y by label."""
    return {str(drawn.get_label()): drawn.lines[0].get_xydata() for drawn in panel.containers}


def kept_features(prior, spectra, width):
    """Features n_k that the `width` largest utilities leave each task, ties to the frequent one."""
    order = sorted(
        ((round(-p * value, 12), k) for k, p in enumerate(prior) for value in spectra[k]),
    )[:width]
    return np.array([sum(task == k for _, task in order) for k in range(len(prior))])


def final_loss(point):
    """Mean final loss over that of the mean predictor [size, task]."""
    last = point["loss"].isel(step=-1).mean(UNITS)
    return (last / point["spectrum"].sum("direction")).transpose("size", "task").to_numpy()


def rare(point, width):
    """Mean normalised signal of the rarest task of one width, at every step."""
    signal = point["signal"].sel(size=width).isel(task=-1).mean(UNITS)
    return (signal - width / 128) / (1 - width / 128)
