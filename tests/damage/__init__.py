"""The damage machine: real stores, damaged at random, and an oracle of sent frames that judges every answer.

``python -m tests.damage.machine --damages 300 --seed 1`` runs it; ``test_machine.py`` runs a small part of it. ``stores`` makes
stores by the real parts, ``kinds`` says what each object is, ``damages`` damages, ``asks`` asks, ``oracle`` judges, ``without``
takes out one check at a time, so that the machine is seen to find what that check finds: ``switches`` has what stands in its
place, ``aims`` damages that only it finds, ``templates`` stores for these, ``questions`` what is asked then.
"""
