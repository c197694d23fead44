"""Files: written beside and renamed, read whole or mapped, locked, checked."""
