"""From an accepted client to the hand-over to an engine: what was asked, the choice, the dial, the tries."""
