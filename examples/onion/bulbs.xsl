<?xml version="1.0" encoding="UTF-8"?>
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="html" encoding="UTF-8" doctype-system="about:legacy-compat"/>

  <xsl:template match="/bulbs">
    <html lang="en">
      <head>
        <title>Bulbs</title>
        <link rel="stylesheet" href="/files/onion.css"/>
      </head>
      <body>
        <h1>Bulbs</h1>
        <p>The application gave XML; <code>Xslt</code> made this page of it.</p>
        <table>
          <tr><th>Name</th><th>Kind</th><th>Skins</th></tr>
          <xsl:apply-templates select="bulb">
            <xsl:sort select="skins" data-type="number"/>
          </xsl:apply-templates>
        </table>
        <p>Skins in all: <xsl:value-of select="sum(bulb/skins)"/>. <a href="/">Back</a></p>
      </body>
    </html>
  </xsl:template>

  <xsl:template match="bulb">
    <tr>
      <td><xsl:value-of select="name"/></td>
      <td><xsl:value-of select="@kind"/></td>
      <td><xsl:value-of select="skins"/></td>
    </tr>
  </xsl:template>
</xsl:stylesheet>
