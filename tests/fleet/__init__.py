"""The fleet: pure rules by properties, AWS against real HTTP on loopback."""
