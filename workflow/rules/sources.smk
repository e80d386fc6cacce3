# Files of the user that the configuration names: found, and kept from being deleted.

# what Snakemake empties, or programs remove, before they write there
EMPTIED = (
    "resources/dataset",
    "resources/taxdump",
    "resources/backbone",
    "results",
    "checkpoints",
    "logs",
)


def sequence_files(patterns):
    """The files that paths and globs name, each once, in order."""
    found = []
    for pattern in map(os.path.expanduser, patterns):
        moved = placed(pattern)
        own = [moved] if os.path.lexists(moved) else sorted(glob.glob(moved))
        # Snakemake puts the prefix of an importing workflow before them again
        prefix = moved.removesuffix(pattern)
        own = [path.removeprefix(prefix) for path in own]
        found += [path for path in own if path not in found]
    return found


def endangered():
    """Files of the user that Snakemake would delete before a program could refuse, in words."""
    sources = {f"{section}.url": config[section]["url"] for section in SOURCES}
    sources |= {
        "explanandum.classifier.path" if GIVEN else "backbone.path": BACKBONE.get(
            "path"
        ),
        "labels.file": config["labels"].get("file"),
        "labels.map": config["labels"].get("map"),
        "positions": config.get("positions"),
    }
    sources |= {
        f"attributions.methods.{name}.file": path for name, path in SCORE_FILES.items()
    }
    for name, own in SAMPLES.items():
        paths = [*SAMPLE_FILES[name], own.get("annotation")]
        sources |= {f"explain.{name} ({path})": path for path in paths}
    for key, source in sources.items():
        if not source or (key == "labels.file" and source == "resources/taxdump"):
            continue
        try:
            path = addresses.local_path(source) if key.endswith("url") else Path(source)
            path = path and Path(placed(str(path.expanduser()))).resolve()
            path and path.stat()
        except FileNotFoundError:  # to be made, or Snakemake says so
            pass
        except (ValueError, RuntimeError, OSError) as error:
            yield f"{key}: {addresses.hide(f'{source}: {error}')}"
            continue
        if path and re.search("[{}]", source):
            yield f"{key}: {source}: Snakemake cannot read paths with braces: rename it"
        for made in EMPTIED if path else ():
            folder = Path(placed(made)).resolve()
            # of a label file's surroundings nothing is copied
            around = (
                not key.startswith("labels.")
                and path.is_dir()
                and overlap(folder, path)
            )
            if around or overlap(path, folder):
                yield (
                    f"{key}: {source} lies in {made}/ of this run or around it, where files are"
                    " deleted before new ones are written: keep your files elsewhere"
                )
                break
    for name in ("dataset", "taxdump", "backbone"):
        folder = Path(placed(f"resources/{name}"))
        record = folder.with_name(f"{name}.json")
        foreign = not folder.is_dir() or any(folder.iterdir())
        if os.path.exists(folder) and foreign and not record.exists():
            yield (
                f"{folder} is there but was not made by this workflow (there is no {record}), and"
                " Snakemake would empty it: move it away, and name it in the configuration to use it"
            )


def overlap(path, folder):
    """Whether a path is a folder or lies in it, by whatever name."""
    above = (path, *path.parents)
    return folder in above or (
        folder.exists() and any(p.exists() and p.samefile(folder) for p in above)
    )
