"""The table of steps a recipe may have: help, errors and docs/recipes.md are made from it."""

from __future__ import annotations

from flags.spec import Kind, Parameter

_JAAMOUR = "Jaamour et al. 2023, pre-processing"
_ABDELHAFIZ = "Abdelhafiz et al. 2019, pre-processing"
_BREAST = "; `breast` counts the pixels that `clean` left alone and keeps the background black"

STEPS = {
    "clean": Kind(
        "turns everything but the breast black: background, labels, tags, image edges",
        "Otsu 1979; largest component; " + _ABDELHAFIZ,
        "image",
    ),
    "crop": Kind(
        "cuts a tight box around the breast",
        "Jaamour et al. 2023, future work",
        "image",
        parameters={
            "margin": Parameter(
                0.01, 0, 0.5, "added on each side, fraction of the box's longer side"
            )
        },
    ),
    "pectoral": Kind(
        "turns the pectoral muscle of MLO images black where its edge is beyond doubt; all other "
        "images pass unchanged",
        "straight line after Karssemeijer 1998; " + _ABDELHAFIZ,
        "image",
    ),
    "orient": Kind(
        "mirrors images so that the chest wall stands at one side",
        "common practice; Jaamour et al. 2023, future work",
        "image",
        ("left", "right"),
        {
            "by": Parameter(
                "pixels",
                about="`pixels` finds the chest wall; `side` mirrors right breasts for `left`, "
                "left breasts for `right`, trusting that images hang in the standard way",
                words=("pixels", "side"),
            )
        },
    ),
    "resize": Kind(
        "brings the image to the size asked for: `pad` keeps the aspect and centres it on black, "
        "`stretch` does not keep the aspect, `crop` keeps it, fills the size and cuts off the "
        "surplus where there is least light",
        "Jaamour et al. 2023, Fig 4",
        "resize",
        ("pad", "stretch", "crop"),
    ),
    "gaussian": Kind(
        "blurs with a Gaussian",
        _JAAMOUR,
        "noise",
        parameters={
            "kernel": Parameter(11, 1, 101, "width of the kernel, pixels", odd=True),
            "sigma": Parameter(0.5, 0.05, 50, "standard deviation, pixels"),
        },
    ),
    "median": Kind(
        "puts the median of its surroundings in the place of each pixel",
        _ABDELHAFIZ,
        "noise",
        parameters={"kernel": Parameter(3, 3, 5, "width of the surroundings, pixels", odd=True)},
    ),
    "adaptive_mean": Kind(
        "draws pixels to the local mean, the more the closer the local variance is to the noise",
        "Wiener filter, Lee 1980; " + _ABDELHAFIZ,
        "noise",
        parameters={"kernel": Parameter(5, 3, 101, "width of the surroundings, pixels", odd=True)},
    ),
    "unsharp": Kind(
        "adds what a Gaussian takes away",
        "Gonzalez and Woods, Digital Image Processing, 3.6",
        "noise",
        parameters={
            "sigma": Parameter(2.0, 0.1, 50, "of the Gaussian, pixels"),
            "amount": Parameter(1.0, 0, 10, "how much of the difference is added"),
        },
    ),
    "hist_eq": Kind(
        "equalises the histogram in 65,536 levels over the whole image, padding included" + _BREAST,
        _JAAMOUR,
        "contrast",
        ("whole", "breast"),
    ),
    "clahe": Kind(
        "equalises in tiles, contrast limited, 256 bins joined by straight lines",
        "Zuiderveld 1994; " + _ABDELHAFIZ,
        "contrast",
        parameters={
            "clip": Parameter(2.0, 1, 100, "highest bin of a tile, times the mean bin"),
            "tiles": Parameter(8, 1, 64, "tiles along each side"),
        },
    ),
    "gcn": Kind(
        "global contrast normalisation: subtracts the mean, divides by the standard deviation; "
        "-span..span of the result become 0..65535" + _BREAST,
        "Goodfellow et al., Deep Learning, 12.2.1.1; Jaamour et al. 2023, future work",
        "contrast",
        ("whole", "breast"),
        {"span": Parameter(3.0, 0.5, 20, "standard deviations kept on either side")},
    ),
    "lcn": Kind(
        "local contrast normalisation: subtracts the local mean, divides by the local standard "
        "deviation, or by its mean where that is larger; -span..span become 0..65535" + _BREAST,
        "Jarrett et al. 2009; Jaamour et al. 2023, future work",
        "contrast",
        ("whole", "breast"),
        {
            "sigma": Parameter(8.0, 0.5, 50, "of the Gaussian window, pixels"),
            "span": Parameter(3.0, 0.5, 20, "standard deviations kept on either side"),
        },
    ),
    "percentile": Kind(
        "stretches the levels between two percentiles to full scale" + _BREAST,
        "scikit-image's rescale_intensity",
        "contrast",
        ("whole", "breast"),
        {
            "low": Parameter(1.0, 0, 49, "percent that become black"),
            "high": Parameter(99.0, 51, 100, "percent, from which all is white"),
        },
    ),
    "minmax": Kind("stretches the levels to full scale", _JAAMOUR, "contrast"),
    "bits": Kind(
        "rounds to 2^bits levels, still spread over 0..65535",
        "Jaamour et al. 2023: their images had 8 bits",
        "contrast",
        ("8", "10", "12"),
    ),
}
