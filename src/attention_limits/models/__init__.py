"""Who answers: attention as the paper defines it, and what it is compared with."""
