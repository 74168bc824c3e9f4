"""Where jobs run: each module is one world. None decides anything; they ask the core."""
