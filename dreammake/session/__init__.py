"""The one room that wires a Dreamfile, the real disk, the catalog, an executor and a display together."""
